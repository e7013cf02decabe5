import { describe, expect, test } from 'vitest'
import { HeldObjects } from '../../../src/kubernetes/held-objects.ts'
import type { PodRecord } from '../../../src/kubernetes/records.ts'
import { pods } from '../../../src/kubernetes/resource.ts'
import { parseEvent } from '../../../src/kubernetes/watch-events.ts'
import { recorded, recordedList } from './recorded.ts'

const pod = (name: string, uid: string, resourceVersion = '1', ip = '10.0.0.1') => ({
  metadata: { name, namespace: 'default', uid, resourceVersion },
  status: { podIP: ip },
})

/** Changes as `+name/uid`, `~name/uid`, `-name/uid`. */
function short(changes: ReturnType<HeldObjects<{ name: string; uid: string }>['endList']>): string[] {
  const signs = { added: '+', updated: '~', removed: '-' }
  return changes.map(({ type, object }) => `${signs[type]}${object.name}/${object.uid}`)
}

function add(held: HeldObjects<PodRecord>, ...items: unknown[]) {
  return items.flatMap((item) => held.addListed(item))
}

function listed(...items: unknown[]) {
  const held = new HeldObjects(pods)
  held.beginList()
  add(held, ...items)
  held.endList()
  return held
}

describe('HeldObjects', () => {
  test('adds what the first pages hold at once, and removes nothing before the end of a list', () => {
    const held = listed(pod('a', '1'), pod('b', '2'))
    held.beginList()
    expect(short(add(held, pod('c', '3')))).toEqual(['+c/3'])
    expect(held.objects.size).toBe(3)
    expect(short(held.endList())).toEqual(['-a/1', '-b/2'])
  })

  test('removes nothing when a list fails, and the next one begins afresh', () => {
    const held = listed(pod('a', '1'), pod('b', '2'))
    held.beginList()
    add(held, pod('a', '1'))
    held.abandonList()
    expect([...held.objects.keys()]).toEqual(['1', '2'])
    held.beginList()
    add(held, pod('b', '2'))
    expect(short(held.endList())).toEqual(['-a/1'])
  })

  test('sees by the version whether anything changed', () => {
    const held = listed(pod('a', '1'))
    held.beginList()
    expect(add(held, pod('a', '1'))).toEqual([])
    expect(short(add(held, pod('a', '1', '2', '10.0.0.2')))).toEqual(['~a/1'])
    expect(held.objects.get('1')?.ip).toBe('10.0.0.2')
  })

  test('sees a pod that was deleted and created again under its name', () => {
    const held = listed(pod('web-0', 'old'))
    expect(short(held.applyEvent('MODIFIED', pod('web-0', 'new', '2')))).toEqual(['-web-0/old', '+web-0/new'])
    expect(held.applyEvent('DELETED', pod('web-0', 'old', '1'))).toEqual([])
    expect([...held.objects.keys()]).toEqual(['new'])
  })

  test('believes an event that came during a list more than the list', () => {
    const held = listed(pod('a', '1'), pod('b', '2'))
    held.beginList()
    held.applyEvent('DELETED', pod('a', '1', '5'))
    held.applyEvent('MODIFIED', pod('b', '2', '6', '10.0.0.9'))
    held.applyEvent('ADDED', pod('c', '3', '7'))
    expect(add(held, pod('a', '1'), pod('b', '2'))).toEqual([])
    expect(held.endList()).toEqual([])
    expect([...held.objects.values()].map(({ name, ip }) => `${name} ${ip ?? ''}`)).toEqual([
      'b 10.0.0.9',
      'c 10.0.0.1',
    ])
  })

  test('refuses what is no pod', () => {
    const held = new HeldObjects(pods)
    held.beginList()
    expect(() => held.addListed({})).toThrow('Cannot read a pod')
  })

  test('follows the recorded scale-up, annotation change and scale-down', async () => {
    const items = [
      ...(await recordedList('pods-list-page1.json')),
      ...(await recordedList('pods-list-page2.json')),
    ]
    const held = listed(...items)
    expect(held.objects.size).toBe(4)
    const ips: string[] = []
    for (const line of (await recorded('pods-watch.ndjson')).trim().split('\n')) {
      const event = parseEvent('watch pods', line)
      if (event.type === 'BOOKMARK') continue
      for (const change of held.applyEvent(event.type, event.object)) {
        const { name, ip, terminating } = change.object
        if (name.endsWith('lbfrm'))
          ips.push(`${change.type} ${ip ?? '-'}${terminating ? ' terminating' : ''}`)
      }
    }
    expect(ips[0]).toBe('added -')
    expect(ips).toContain('updated 10.89.0.13')
    expect(ips.at(-2)).toBe('updated 10.89.0.13 terminating')
    expect(ips.at(-1)).toBe('removed 10.89.0.13 terminating')
    expect([...held.objects.values()].map(({ name }) => name).sort()).toEqual([
      'web-6d9467768-2xc77',
      'web-6d9467768-9xcnh',
      'web-6d9467768-jkhfq',
      'web-6d9467768-l72fv',
      'web-6d9467768-lm8k4',
      'web-6d9467768-rz2lm',
    ])
  })
})
