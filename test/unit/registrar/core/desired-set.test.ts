import { describe, expect, it } from 'vitest'
import type { Desired } from '../../../../src/registrar/core/desired.ts'
import { DesiredSet } from '../../../../src/registrar/core/desired-set.ts'
import { service } from '../../../support/records.ts'

const wants = (...ids: string[]): Desired => ({
  services: ids.map((id) => service(id)),
  notes: [],
  droppedMeta: 0,
})
const skips = (reason: 'no_ip'): Desired => ({ ...wants(), skipped: { reason, detail: 'why' } })

describe('the set of wanted services', () => {
  it('follows its objects and names the IDs that are touched', () => {
    const set = new DesiredSet()
    expect(set.set('u1', 'a/x', wants('1', '2'))).toEqual(['1', '2'])
    expect(set.set('u1', 'a/x', wants('2', '3')).sort()).toEqual(['1', '2', '3'])
    expect([...set.services.keys()].sort()).toEqual(['2', '3'])
    expect(set.delete('u1').sort()).toEqual(['2', '3'])
    expect(set.services.size).toBe(0)
    expect(set.delete('u1')).toEqual([])
  })

  it('tells what is skipped, and no longer once it is not', () => {
    const set = new DesiredSet()
    set.set('u1', 'a/x', { ...skips('no_ip'), droppedMeta: 3 })
    expect([...set.skipped()]).toEqual([{ object: 'a/x', reason: 'no_ip', detail: 'why' }])
    expect([set.skippedReason('u1'), set.droppedMeta]).toEqual(['no_ip', 3])
    set.set('u1', 'a/x', wants('1'))
    expect([...set.skipped()]).toEqual([])
    expect(set.droppedMeta).toBe(0)
  })

  it('gives an ID that two objects ask for to the first by name, whoever came first', () => {
    for (const order of [
      ['a--b/c', 'a/b--c'],
      ['a/b--c', 'a--b/c'],
    ]) {
      const set = new DesiredSet()
      for (const name of order)
        set.set(`uid ${name}`, name, { ...wants(), services: [service('pod--a--b--c', { address: name })] })
      expect(set.get('pod--a--b--c')?.address).toBe('a--b/c')
      expect([...set.skipped()]).toEqual([
        { object: 'a/b--c', reason: 'id_conflict', detail: 'a--b/c has the same service ID pod--a--b--c' },
      ])
    }
  })

  it('hands the ID on when its holder goes', () => {
    const set = new DesiredSet()
    set.set('u1', 'a/x', wants('1'))
    set.set('u2', 'b/x', { ...wants(), services: [service('1', { address: 'b' })] })
    expect(set.delete('u1')).toEqual(['1'])
    expect(set.get('1')?.address).toBe('b')
    expect([...set.skipped()]).toEqual([])
    set.set('u2', 'b/x', wants())
    expect(set.get('1')).toBeUndefined()
  })

  it('survives a pod that is re-created under its name before its removal is seen', () => {
    const set = new DesiredSet()
    set.set('old', 'a/x', wants('1'))
    set.set('new', 'a/x', { ...wants(), services: [service('1', { address: 'new' })] })
    set.delete('old')
    expect(set.get('1')?.address).toBe('new')
  })
})
