import { describe, expect, test } from 'vitest'
import { freeBuffer } from '../../../src/common/free-buffer.ts'

describe('freeBuffer', () => {
  test('empties a buffer that is alone in its memory', () => {
    const buffer = Buffer.alloc(65_536, 'x')
    freeBuffer(buffer)
    expect(buffer).toHaveLength(0)
  })

  test('leaves one alone that shares its memory with others', () => {
    const whole = Buffer.alloc(65_536, 'x')
    freeBuffer(whole.subarray(0, 10))
    // Of the memory that Node.js keeps for small buffers.
    const small = Buffer.from('small')
    freeBuffer(small)
    expect(whole.toString()).toBe('x'.repeat(65_536))
    expect(small.toString()).toBe('small')
  })
})
