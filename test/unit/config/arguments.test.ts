import { describe, expect, it } from 'vitest'
import { splitArguments } from '../../../src/config/arguments.ts'

const split = (...args: string[]) => {
  const { words, flags } = splitArguments(args, new Set(['port']))
  return { words, flags: Object.fromEntries(flags) }
}

describe('splitArguments()', () => {
  it('gives the next word to a flag that takes a value', () => {
    expect(split('exporter', '--port', '1')).toEqual({ words: ['exporter'], flags: { port: '1' } })
  })

  it('gives no word to a flag that takes none', () => {
    expect(split('--dry-run', 'registrar')).toEqual({ words: ['registrar'], flags: { 'dry-run': 'true' } })
  })

  it('takes a value after the equals sign for either kind', () => {
    expect(split('--dry-run=false', '-port=2').flags).toEqual({ 'dry-run': 'false', port: '2' })
  })

  it('lets the last of two equal flags win', () => {
    expect(split('--port', '1', '--port', '2').flags).toEqual({ port: '2' })
  })

  it('leaves a value that is missing empty', () => {
    expect(split('--port').flags).toEqual({ port: '' })
  })
})
