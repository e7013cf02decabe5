import { parseArgs } from 'node:util'

export interface Arguments {
  /** What is not a flag, in order. */
  readonly words: readonly string[]
  /** Flags by name without dashes; `true` for a boolean one without a value. The last one of a name wins. */
  readonly flags: ReadonlyMap<string, string>
}

/**
 * Splits a command line: `--port 80`, `--port=80` and the single-dash `-port=80` are the same.
 *
 * @param valued flags that take the next word as their value; the others take one only after `=`
 */
export function splitArguments(args: readonly string[], valued: ReadonlySet<string>): Arguments {
  const doubled = args.map((arg) =>
    arg === '-h' ? '--help' : /^-[a-z][a-z-]+(=|$)/.test(arg) ? `-${arg}` : arg,
  )
  const names = doubled.flatMap((arg) => /^--([^=]+)/.exec(arg)?.[1] ?? [])
  const options = Object.fromEntries(
    names.map((name) => [name, { type: valued.has(name) ? ('string' as const) : ('boolean' as const) }]),
  )
  const { tokens } = parseArgs({
    args: doubled,
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const words: string[] = []
  const flags = new Map<string, string>()
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind === 'option') flags.set(token.name, token.value ?? (valued.has(token.name) ? '' : 'true'))
  }
  return { words, flags }
}
