import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { waitFor } from '../../../lab/wait.ts'
import { PolledFile } from '../../../src/common/polled-file.ts'

const parse = (text: string): string => {
  if (text.includes('bad')) throw new Error('it is bad')
  return text.toUpperCase()
}

describe('PolledFile', () => {
  it('follows a file that is replaced', async () => {
    await using folder = await TemporaryFolder.create('polled')
    const path = join(folder.path, 'file')
    await writeFile(path, 'one')
    const seen: (string | undefined)[] = []
    await using file = await PolledFile.open({
      path,
      parse,
      everyMs: 5,
      onChange: ({ value }) => seen.push(value),
    })
    expect(file.value).toBe('ONE')
    await writeFile(`${path}.new`, 'two')
    await rename(`${path}.new`, path)
    await waitFor('the new text', () => file.value === 'TWO')
    expect(seen).toEqual(['ONE', 'TWO'])
  })

  it('keeps the last usable value while the file is gone or bad, and says what is wrong', async () => {
    await using folder = await TemporaryFolder.create('polled')
    const path = join(folder.path, 'file')
    await writeFile(path, 'one')
    await using file = await PolledFile.open({ path, parse, everyMs: 60_000 })
    const readAtMs = file.readAtMs
    await writeFile(path, 'bad')
    await file.refresh()
    expect([file.value, file.problem]).toEqual(['ONE', `Cannot use ${path}: it is bad`])
    await rm(path)
    await file.refresh()
    expect([file.value, file.readAtMs]).toEqual(['ONE', readAtMs])
    expect(file.problem).toContain('ENOENT')
    await writeFile(path, 'one')
    await file.refresh()
    expect([file.value, file.problem]).toEqual(['ONE', undefined])
  })

  it('waits for a file that is not there yet', async () => {
    await using folder = await TemporaryFolder.create('polled')
    const path = join(folder.path, 'file')
    await using file = await PolledFile.open({ path, parse, everyMs: 60_000, retryMs: 5 })
    expect(file.value).toBeUndefined()
    await writeFile(path, 'late')
    await waitFor('the file', () => file.value === 'LATE')
  })
})
