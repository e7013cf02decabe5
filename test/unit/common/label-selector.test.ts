import { describe, expect, it } from 'vitest'
import { matchesSelector, parseLabelSelector } from '../../../src/common/label-selector.ts'

const labels = { app: 'shop', tier: 'web', 'example.com/team': 'a' }

describe('a label selector', () => {
  it.each([
    ['app=shop', true],
    ['app==shop,tier!=db', true],
    ['app=other', false],
    ['tier in (web, api),app', true],
    ['tier notin (web,api)', false],
    ['missing notin (a)', true],
    ['missing!=a', true],
    ['missing', false],
    ['!missing', true],
    ['!app', false],
    ['example.com/team=a', true],
    ['app=', false],
  ])('%s: %s', (text, matches) => {
    const selector = parseLabelSelector(text)
    expect(selector && matchesSelector(selector, labels)).toBe(matches)
  })

  it.each(['', ',', 'app=shop,', 'a b', 'a in b', 'a in ()x', '=x', 'a=b=c', '-a'])('%s is none', (text) => {
    expect(parseLabelSelector(text)).toBeUndefined()
  })
})
