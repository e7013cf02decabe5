import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const root = new URL('../../../', import.meta.url)
const rows = readFileSync(new URL('docs/registrar-tests.md', root), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, file = '', title = ''] = /\| ((?:unit|integration)\/[^ ]+\.ts): (.*?) +\|$/.exec(line) ?? []
    return file === '' ? [] : [{ file, title }]
  })

it('docs/registrar-tests.md names only tests that there are', () => {
  expect(rows.length).toBeGreaterThan(40)
  const unknown = rows.filter(({ file, title }) => {
    const source = readFileSync(new URL(`test/${file}`, root), 'utf8')
    return !source.includes(`'${title}'`)
  })
  expect(unknown).toEqual([])
})
