import { describe, expect, it } from 'vitest'
import { mapConcurrent, untilAborted } from '../../../src/common/concurrent.ts'

describe('mapConcurrent', () => {
  it('keeps the order and never runs more than the limit', async () => {
    let running = 0
    let most = 0
    const results = await mapConcurrent([5, 1, 3, 2, 4], 2, async (n) => {
      most = Math.max(most, ++running)
      for (let k = 0; k < n; k += 1) await Promise.resolve()
      running -= 1
      return n * 10
    })
    expect(results).toEqual([50, 10, 30, 20, 40])
    expect(most).toBe(2)
  })

  it('rejects with the first error', async () => {
    const failing = mapConcurrent([1, 2], 1, (n) => Promise.reject(new Error(`no ${n}`)))
    await expect(failing).rejects.toThrow('no 1')
  })
})

describe('untilAborted', () => {
  it('gives what the promise gives when that comes first', async () => {
    const { signal } = new AbortController()
    await expect(untilAborted(Promise.resolve(1), signal)).resolves.toBe(1)
    await expect(untilAborted(Promise.reject(new Error('x')), signal)).rejects.toThrow('x')
  })

  it('throws the reason of the abort when that comes first', async () => {
    const controller = new AbortController()
    const waiting = untilAborted(new Promise(() => undefined), controller.signal)
    controller.abort(new Error('late'))
    await expect(waiting).rejects.toThrow('late')
    await expect(untilAborted(Promise.resolve(1), controller.signal)).rejects.toThrow('late')
  })
})
