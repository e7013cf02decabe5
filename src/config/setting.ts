import type { Format } from './format.ts'

/** One setting: everything that --help, `podsonar config`, docs/configuration.md and the parser know about it. */
export interface Setting<T> {
  /** The environment variable, and, in lower case with dashes, the flag. */
  readonly env: string
  readonly doc: string
  readonly format: Format<Exclude<T, undefined>>
  readonly default: T
  /** What the default does, where the value alone does not say it. */
  readonly defaultDoc?: string
  /** Never shown, never a flag. @default false */
  readonly sensitive?: boolean
  /** An unusable value is a warning and the default stands. @default false */
  readonly lenient?: boolean
}

/** What a setting can hold. */
export type Value = string | number | boolean | readonly Value[] | Readonly<Record<string, string>>

/** Declares a setting with a default. */
export function setting<T extends Value>(
  declaration: Omit<Setting<T>, 'format' | 'default'> & { format: Format<T>; default: NoInfer<T> },
): Setting<T> {
  return declaration as Setting<T>
}

/** Declares a setting that may be left unset. */
export function optional<T extends Value>(declaration: Omit<Setting<T>, 'default'>): Setting<T | undefined> {
  return { ...declaration, default: undefined }
}

export type Settings = Readonly<Record<string, Setting<unknown>>>

/** The values that a set of settings gives. */
export type Values<S> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never }

/** `SYNC_PERIOD` → `sync-period`. */
export function flagName({ env }: Pick<Setting<unknown>, 'env'>): string {
  return env.toLowerCase().replaceAll('_', '-')
}
