import { destination, pino, stdTimeFunctions } from 'pino'

/**
 * One logger, injected everywhere. Each record has a stable `event` name to search for, its figures, and a sentence
 * for people: `log.info({ event: 'sync_done', changes: 3 }, 'Reconciled')`. Never a token, nothing per request above
 * debug.
 */
export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** A logger that adds `fields` to each record. */
  child(fields: Readonly<Record<string, unknown>>): Logger
}

/** What a record carries besides its sentence. */
export interface LogFields {
  /** Stable, snake_case. */
  readonly event: string
  readonly [field: string]: unknown
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export interface LoggerOptions {
  readonly level: LogLevel
  /** `json`: one object a line; `text`: for reading on a terminal. */
  readonly format: 'json' | 'text'
}

/** Writes to stderr, synchronously, so that the last words before an exit are not lost. */
export async function createLogger({ level, format }: LoggerOptions): Promise<Logger> {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  if (format === 'json') return only(pino(options, destination({ fd: 2, sync: true })))
  const { default: pretty } = await import('pino-pretty')
  return only(
    pino(options, pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss', singleLine: true })),
  )
}

/** Narrows pino's logger to what podsonar uses: its own type lets any property through. */
function only(logger: Logger): Logger {
  return logger
}

/** A logger that says nothing, for tests and tools. */
export const silentLogger: Logger = pino({ level: 'silent' })
