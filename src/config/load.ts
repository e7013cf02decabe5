import convict from 'convict'
import { SettingsError } from '../common/errors.ts'
import { splitArguments } from './arguments.ts'
import { conflicts, modes, schema, type ModeConfig } from './schema.ts'
import { flagName, type Setting, type Settings } from './setting.ts'

/** What can be asked of the program besides running a mode, as its first argument. */
export const commands = {
  config: 'print the effective settings of a mode, secrets masked',
  purge: 'remove everything of CLUSTER_NAME from Consul (registrar only)',
  healthcheck: 'ask the mode that runs in this container whether it is alive (its /healthz)',
} as const
type Command = 'run' | keyof typeof commands

/** What the command line and the environment ask for. */
export type Invocation =
  | { readonly command: 'help' }
  | { readonly command: 'version' }
  | (ModeConfig & {
      readonly command: Command
      /** Settings that could not be used and were replaced by their defaults. */
      readonly warnings: readonly string[]
      /** Every setting by its environment variable, secrets masked. */
      readonly effective: Readonly<Record<string, unknown>>
    })

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the command line and the environment. A flag wins over a variable; an empty variable counts as unset.
 *
 * @param args the words after the program's name
 * @throws SettingsError with every problem found
 */
export function loadInvocation(args: readonly string[], environment: Environment): Invocation {
  const { words, flags } = splitArguments(args, valuedFlags())
  if (flags.has('help')) return { command: 'help' }
  if (flags.has('version')) return { command: 'version' }

  const command = (Object.keys(commands) as Command[]).find((known) => known === words[0]) ?? 'run'
  const modeWords = command === 'run' ? words : words.slice(1)
  const ambient = command === 'purge' ? undefined : environment['MODE']
  const modeText = modeWords[0] ?? flags.get('mode') ?? (ambient || 'registrar')
  const mode = modes.find((known) => known === modeText)
  if (mode === undefined) {
    throw new SettingsError([
      `MODE: expected one of ${modes.join(', ')}: value was ${JSON.stringify(modeText)}`,
    ])
  }
  if (command === 'purge' && mode !== 'registrar') {
    throw new SettingsError([
      `purge: expected no mode or registrar, which is the one that writes to Consul: value was "${mode}"`,
    ])
  }
  const problems = modeWords
    .slice(1)
    .map(
      (word) =>
        `arguments: expected only flags such as --port 8080 after the mode: value was ${JSON.stringify(word)}`,
    )

  const settings: Settings = schema[mode]
  const given = gather(Object.values(settings), flags, environment, problems)
  const warnings = dropUnusableLenient(Object.values(settings), given)
  const loaded = convict(convictSchema(Object.values(settings)), { env: given, args: [] })
  try {
    loaded.validate({ allowed: 'strict' })
  } catch (error) {
    problems.push(...(error as Error).message.split('\n'))
  }
  if (problems.length > 0) throw new SettingsError(problems)

  const valueOf = (one: Setting<unknown>): unknown => {
    const text: unknown = loaded.get(one.env)
    return typeof text === 'string' ? one.format.parse(text) : one.default
  }
  const config = Object.freeze(
    Object.fromEntries(Object.entries(settings).map(([name, one]) => [name, valueOf(one)])),
  )
  // The schema is keyed by mode, so the values are those of this mode; TypeScript cannot see it through the key.
  const modeConfig = { mode, config } as unknown as ModeConfig
  const conflicting = conflicts(modeConfig)
  if (conflicting.length > 0) throw new SettingsError(conflicting)
  const effective = Object.fromEntries(
    Object.values(settings).map((one) => {
      const value = valueOf(one)
      return [one.env, one.sensitive === true && value !== undefined ? '[hidden]' : (value ?? null)]
    }),
  )
  return { command, warnings, effective, ...modeConfig }
}

/** The texts that were given for `settings`, by environment variable. Unknown and valueless flags become problems. */
function gather(
  settings: readonly Setting<unknown>[],
  flags: ReadonlyMap<string, string>,
  environment: Environment,
  problems: string[],
): Record<string, string> {
  const given: Record<string, string> = {}
  for (const { env } of settings) {
    const value = environment[env]?.trim()
    if (value) given[env] = value
  }
  for (const [name, value] of flags) {
    if (name === 'mode') continue
    const found = settings.find((one) => flagName(one) === name)
    if (found?.sensitive === true)
      problems.push(`--${name}: a secret is not a flag, expected it in the variable ${found.env}`)
    else if (found === undefined)
      problems.push(`--${name}: no such flag in this mode, expected one that "podsonar --help" lists`)
    else if (value.trim() === '')
      problems.push(`--${name}: expected ${found.format.accepts}: no value was given`)
    else given[found.env] = value.trim()
  }
  return given
}

/** Takes lenient settings with unusable texts out of `given`, and says so. */
function dropUnusableLenient(settings: readonly Setting<unknown>[], given: Record<string, string>): string[] {
  return settings.flatMap(({ env, lenient, format, default: fallback }) => {
    const value = given[env]
    if (lenient !== true || value === undefined || format.parse(value) !== undefined) return []
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- a plain record of texts, built just above
    delete given[env]
    return [
      `${env}: expected ${format.accepts}: value was ${JSON.stringify(value)}, using ${String(fallback)}`,
    ]
  })
}

/** Convict holds the texts, by variable; formats turn them into values once all are known to be good. */
function convictSchema(
  settings: readonly Setting<unknown>[],
): convict.Schema<Record<string, string | undefined>> {
  return Object.fromEntries(
    settings.map(({ env, doc, format, sensitive }) => [
      env,
      {
        env,
        doc,
        sensitive: sensitive === true,
        default: undefined as never,
        format: (value: string) => {
          if (format.parse(value) === undefined) throw new Error(`expected ${format.accepts}`)
        },
      },
    ]),
  )
}

function valuedFlags(): ReadonlySet<string> {
  const settings: readonly Setting<unknown>[] = modes.flatMap((mode) =>
    Object.values(schema[mode] as Settings),
  )
  return new Set(['mode', ...settings.filter(({ format }) => format.name !== 'boolean').map(flagName)])
}
