import { describe, expect, it } from 'vitest'
import { describeError, errorCode, PodsonarError, SettingsError } from '../../../src/common/errors.ts'

describe('describeError()', () => {
  it('joins the chain of causes and says nothing twice', () => {
    const root = new Error('connect ECONNREFUSED 127.0.0.1:8500')
    const error = new PodsonarError('consul_unreachable', 'Cannot read services', {
      cause: new Error('Cannot read services', { cause: root }),
    })
    expect(describeError(error)).toBe('Cannot read services: connect ECONNREFUSED 127.0.0.1:8500')
  })

  it('shows what an AggregateError holds, since it has no message of its own', () => {
    expect(describeError(new AggregateError([new Error('a'), new Error('b')]))).toBe('a, b')
  })

  it('is one short line for anything that was thrown', () => {
    expect(describeError('plain')).toBe('plain')
    expect(describeError(new Error('x'.repeat(1_000)))).toHaveLength(500)
  })
})

describe('errors', () => {
  it('have a stable code', () => {
    expect(errorCode(new SettingsError(['PORT: bad']))).toBe('invalid_settings')
    expect(errorCode(new Error('none'))).toBeUndefined()
  })
})
