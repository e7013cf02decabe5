import { readFileSync } from 'node:fs'
import { describeError, PodsonarError } from '../common/errors.ts'

/** How long a token is used before its file is looked at again, as client-go does. */
const freshMs = 60_000

/**
 * A bearer token in a file that something else renews (a projected service-account token). Read at most once a minute;
 * when the file cannot be read the last token stays in use.
 */
export class TokenFile {
  readonly path: string
  readonly #now: () => number
  #token: string | undefined
  #readAtMs = Number.NEGATIVE_INFINITY

  /** @param now a clock in milliseconds that never steps back */
  constructor(path: string, now: () => number = () => performance.now()) {
    this.path = path
    this.#now = now
  }

  /**
   * The token.
   *
   * @throws PodsonarError `token_unreadable` when it could never be read or the file is empty
   */
  get(): string {
    if (this.#token !== undefined && this.#now() - this.#readAtMs < freshMs) return this.#token
    try {
      const text = readFileSync(this.path, 'utf8').trim()
      if (text === '') throw new Error('it is empty')
      this.#token = text
      this.#readAtMs = this.#now()
    } catch (cause) {
      if (this.#token === undefined) {
        const why = describeError(cause)
        throw new PodsonarError(
          'token_unreadable',
          `Cannot read the token in ${this.path}: ${why}, expected a bearer token`,
          {
            cause,
          },
        )
      }
    }
    return this.#token
  }

  /** The server refused the token: the file is read again for the next request. */
  refused(): void {
    this.#readAtMs = Number.NEGATIVE_INFINITY
  }
}
