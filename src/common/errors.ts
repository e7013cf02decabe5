/**
 * The errors that podsonar raises on purpose. `code` is stable and may be matched; the message says what could
 * not be done, the actual value, and what was expected. `cause` keeps the original error.
 */
export class PodsonarError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** Settings that cannot be used. Carries every problem found, so that one run shows them all. Exit status 2. */
export class SettingsError extends PodsonarError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(
      'invalid_settings',
      `Cannot start with these settings:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    )
    this.problems = problems
  }
}

/**
 * One line for a log or a status page: the message, and the chain of causes behind it.
 * Never the stack, and never more than 500 characters.
 */
export function describeError(error: unknown): string {
  const parts: string[] = []
  let current: unknown = error
  while (current !== undefined && parts.length < 4) {
    const text = messageOf(current)
    if (text !== '' && !parts.some((part) => part.includes(text))) parts.push(text)
    current = current instanceof Error ? current.cause : undefined
  }
  return parts.join(': ').slice(0, 500)
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join(', ')
  if (error instanceof Error) return error.message
  return String(error)
}

/** The `code` of a Node or podsonar error (`ECONNREFUSED`), or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
