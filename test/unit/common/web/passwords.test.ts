import { hashSync } from 'bcryptjs'
import { describe, expect, it } from 'vitest'
import { Passwords } from '../../../../src/common/web/passwords.ts'

const hash = hashSync('right', 4)

describe('Passwords', () => {
  it('tells right from wrong', async () => {
    await using passwords = new Passwords()
    expect(await passwords.check('alice', 'right', hash)).toBe(true)
    expect(await passwords.check('alice', 'wrong', hash)).toBe(false)
    expect(await passwords.check('alice', '', hash)).toBe(false)
    expect(await passwords.check('nobody', 'right', undefined)).toBe(false)
  })

  it('judges a password once, and again when the hash changed', async () => {
    await using passwords = new Passwords()
    const slow = hashSync('right', 11)
    await passwords.check('alice', 'right', slow)
    const started = performance.now()
    for (let count = 0; count < 200; count += 1)
      expect(await passwords.check('alice', 'right', slow)).toBe(true)
    // 200 judgements by this hash take half a minute.
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(await passwords.check('alice', 'right', hashSync('other', 4))).toBe(false)
  })

  it('lets a bounded number of passwords wait', async () => {
    await using passwords = new Passwords()
    const verdicts = await Promise.all(
      Array.from({ length: 150 }, (_, index) => passwords.check('alice', `wrong-${index}`, hash)),
    )
    expect(verdicts.filter((verdict) => verdict === false)).toHaveLength(100)
    expect(verdicts.filter((verdict) => verdict === undefined)).toHaveLength(50)
  })
})
