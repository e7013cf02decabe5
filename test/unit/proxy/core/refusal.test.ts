import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { Refusal, refusals } from '../../../../src/proxy/core/refusal.ts'

it('has every code and its status in docs/proxy.md', async () => {
  const docs = await readFile(new URL('../../../../docs/proxy.md', import.meta.url), 'utf8')
  const rows = [...docs.matchAll(/^\| `(\w+)` +\| (\d+) /gm)].map(([, code, status]) => [
    code,
    Number(status),
  ])
  expect(Object.fromEntries(rows)).toEqual(refusals)
  expect(rows).toHaveLength(Object.keys(refusals).length)
})

it('knows the status of its code', () => {
  const refusal = new Refusal('busy', 'Too many')
  expect([refusal.code, refusal.status, refusal.message]).toEqual(['busy', 503, 'Too many'])
})
