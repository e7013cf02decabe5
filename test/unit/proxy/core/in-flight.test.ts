import { describe, expect, it } from 'vitest'
import { InFlight } from '../../../../src/proxy/core/in-flight.ts'

describe('InFlight', () => {
  it('has places for each target, and for all together', () => {
    const inFlight = new InFlight({ total: 3, perTarget: 2 })
    const places = ['a', 'a', 'a', 'b', 'c'].map((target) => inFlight.enter(target))
    expect(places.map((place) => place !== undefined)).toEqual([true, true, false, true, false])
    expect(inFlight.total).toBe(3)
  })

  it('takes a place back once, however often it is given', () => {
    const inFlight = new InFlight({ total: 2, perTarget: 1 })
    const place = inFlight.enter('a')!
    inFlight.enter('b')
    place[Symbol.dispose]()
    place[Symbol.dispose]()
    expect(inFlight.total).toBe(1)
    expect(inFlight.enter('a')).toBeDefined()
    expect(inFlight.enter('c')).toBeUndefined()
  })
})
