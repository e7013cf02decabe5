import { expect, it } from 'vitest'
import { parseSelector } from '../../../../src/capture/core/selector.ts'

const labels = { app: 'web', 'app.kubernetes.io/name': 'shop', tier: '' }

it.each([
  ['app=web', true],
  ['app==web', true],
  ['app=db', false],
  ['app!=db', true],
  ['missing!=db', true],
  ['app', true],
  ['!app', false],
  ['!missing', true],
  ['tier=', true],
  ['app in (db, web)', true],
  ['app in (db)', false],
  ['app notin (db)', true],
  ['missing notin (db)', true],
  ['app=web,app.kubernetes.io/name=shop', true],
  ['app=web,!tier', false],
  ['app in (web,db),tier', true],
])('%s selects: %s', (text, selected) => {
  expect(parseSelector(text)(labels)).toBe(selected)
})

it.each(['', 'app=', 'app=web,', 'a b', '=x', 'app in web', 'app>1', '-n'])(
  'refuses "%s", or reads it',
  (text) => {
    if (text === 'app=') expect(parseSelector(text)({ app: '' })).toBe(true)
    else expect(() => parseSelector(text)).toThrow(/Cannot use the label selector/)
  },
)
