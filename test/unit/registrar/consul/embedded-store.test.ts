import { describe, expect, it } from 'vitest'
import { EmbeddedStore, type Topic } from '../../../../src/registrar/consul/embedded-store.ts'
import { parseDuration, parseQuery } from '../../../../src/registrar/consul/embedded-query.ts'

const service = (id: string, name: string, tags: readonly string[] = ['t'], port = 1) => ({
  ...{ id, name, tags, port },
  address: '10.0.0.1',
  meta: {},
})
const named = (name: string): Topic => ({ service: name })
const never = new AbortController().signal

describe('EmbeddedStore', () => {
  it('gives each name the index of its own last change', () => {
    const store = new EmbeddedStore(100)
    store.change([service('a', 'x'), service('b', 'y')], [])
    const [x, y] = [store.indexOf(named('x')), store.indexOf(named('y'))]
    expect(x).toBeGreaterThan(100)
    store.change([service('a', 'x', ['t'], 2)], [])
    expect(store.indexOf(named('x'))).toBeGreaterThan(x)
    expect(store.indexOf(named('y'))).toBe(y)
  })

  it('changes the index of the names only when a name or tag comes or goes', () => {
    const store = new EmbeddedStore(100)
    const moved: boolean[] = []
    const change = (...args: Parameters<EmbeddedStore['change']>) => {
      const before = store.indexOf('names')
      store.change(...args)
      moved.push(store.indexOf('names') > before)
    }
    change([service('a', 'x')], [])
    change([service('a', 'x', ['t'], 2), service('b', 'x')], [])
    change([], ['b'])
    change([service('a', 'x', ['t', 'u'])], [])
    change([service('a', 'x', ['u'])], [])
    change([service('a', 'y', ['u'])], [])
    change([], ['a', 'unknown'])
    expect(moved).toEqual([true, false, false, true, true, true, true])
    expect(store.names().size).toBe(0)
  })

  it('finds instances by all of the tags asked for', () => {
    const store = new EmbeddedStore(1)
    store.change([service('a', 'x', ['t']), service('b', 'x', ['t', 'u'])], [])
    const ids = (tags: string[]) => store.instances('x', tags).map(({ service: { id } }) => id)
    expect([ids([]), ids(['u']), ids(['t', 'u']), ids(['v'])]).toEqual([['a', 'b'], ['b'], ['b'], []])
    expect([...store.names()]).toEqual([['x', ['t', 'u']]])
  })

  it('keeps the index of creation through changes', () => {
    const store = new EmbeddedStore(1)
    store.change([service('a', 'x')], [])
    const [first] = store.instances('x')
    store.change([service('a', 'x', [], 2)], [])
    const [second] = store.instances('x')
    expect(second?.createIndex).toBe(first?.createIndex)
    expect(second?.modifyIndex).toBeGreaterThan(first?.modifyIndex ?? 0)
  })

  it('wakes those who wait for a name, and only them', async () => {
    const store = new EmbeddedStore(1)
    store.change([service('a', 'x'), service('b', 'y')], [])
    const wait = (topic: Topic, ms = 60_000) =>
      store.waitForChange(topic, store.indexOf(topic), ms, never).then(() => topic)
    const other = wait(named('y'), 50)
    const names = wait('names', 50)
    const changed = wait(named('x'))
    const absent = wait(named('z'))
    store.change([service('a', 'x', ['t'], 2)], [])
    expect(await Promise.race([changed, other, names, absent])).toEqual(named('x'))
    await Promise.all([other, names])
    store.change([service('c', 'z')], [])
    expect(await absent).toEqual(named('z'))
  })

  it('lets nobody wait with an index of another run, nor after an end', async () => {
    const store = new EmbeddedStore(1_000)
    await store.waitForChange('names', 7, 60_000, never)
    await store.waitForChange('names', 5_000, 60_000, never)
    await store.waitForChange('names', 1_000, 60_000, AbortSignal.abort())
    const stop = new AbortController()
    const waiting = store.waitForChange('names', 1_000, 60_000, stop.signal)
    stop.abort()
    await waiting
  })

  it('tells a vanished name from one that was never there', () => {
    const store = new EmbeddedStore(1)
    store.change([service('a', 'x')], [])
    const before = store.indexOf(named('x'))
    store.change([], ['a'])
    expect(store.indexOf(named('x'))).toBeGreaterThan(before)
  })
})

describe('parseQuery', () => {
  it('reads what consul_sd sends', () => {
    const text = 'index=12&wait=30000ms&stale=&tag=a&tag=b&dc=dc1&node-meta=k:v&passing=1'
    expect(parseQuery(new URLSearchParams(text))).toEqual({
      ...{ index: 12, waitMs: 30_000, tags: ['a', 'b'], nodeMeta: ['k:v'], datacenter: 'dc1' },
    })
  })

  it('does not wait without an index, and at most ten minutes with one', () => {
    expect(parseQuery(new URLSearchParams())).toMatchObject({ index: undefined, waitMs: 300_000 })
    expect(parseQuery(new URLSearchParams('index=0'))).toMatchObject({ index: undefined })
    expect(parseQuery(new URLSearchParams('index=1&wait=1h')).waitMs).toBe(600_000)
  })

  it.each(['index=x', 'wait=soon', 'filter=Service.Port==1'])('refuses %s', (text) => {
    expect(() => parseQuery(new URLSearchParams(text))).toThrow()
  })

  it('reads durations as Go writes them', () => {
    expect(['1m30s', '1.5s', '250ms', '2', 's', '1m '].map(parseDuration)).toEqual([
      90_000,
      1_500,
      250,
      undefined,
      undefined,
      undefined,
    ])
  })
})
