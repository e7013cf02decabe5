import { expect, it } from 'vitest'
import { runningArguments } from '../../../src/config/running-arguments.ts'

const line = (...words: string[]): string => words.map((word) => `${word}\0`).join('')

it.each([
  [
    ['node', '--max-semi-space-size=2', '/usr/bin/podsonar', 'exporter', '--port', '1'],
    ['exporter', '--port', '1'],
  ],
  [['/sbin/docker-init', '--', '/usr/bin/podsonar', 'proxy'], ['proxy']],
  [['node', '/app/dist/main.js'], []],
  [
    ['node', 'src/main.ts', 'registrar', ''],
    ['registrar', ''],
  ],
  [['/sbin/init'], undefined],
  [['node', '/app/podsonar-like', 'x'], undefined],
])('finds in %j what podsonar was asked for', (words, expected) => {
  expect(runningArguments(line(...words))).toEqual(expected)
})
