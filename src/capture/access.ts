import { createHash, timingSafeEqual } from 'node:crypto'
import { PodsonarError } from '../common/errors.ts'
import { PolledFile } from '../common/polled-file.ts'
import type { Logger } from '../common/logger.ts'

/** Who asks for a capture. */
export interface CaptureUser {
  /** For the audit log. */
  readonly name: string
  /** Whether they may capture that pod. @throws PodsonarError when that cannot be found out */
  mayCapture(namespace: string, pod: string): Promise<boolean>
}

/** Tells users by their bearer tokens. */
export interface CaptureAccess extends AsyncDisposable {
  /**
   * @returns undefined: nobody's token
   * @throws PodsonarError when that cannot be found out
   */
  userOf(token: string): Promise<CaptureUser | undefined>
}

/** How often CAPTURE_TOKEN_FILE is read again, in milliseconds. */
const readEveryMs = 10_000

/** CAPTURE_TOKEN_FILE: whoever has the token may capture every pod of the node. */
export class TokenAccess implements CaptureAccess {
  readonly #file: PolledFile<string>

  private constructor(file: PolledFile<string>) {
    this.#file = file
  }

  static async open(path: string, log: Logger): Promise<TokenAccess> {
    const file = await PolledFile.open({
      path,
      everyMs: readEveryMs,
      parse: (text) => {
        const token = text.trim()
        if (token.length < 16) throw new Error('it is too short, expected a token of at least 16 characters')
        return token
      },
      onChange: ({ problem }) => {
        if (problem !== undefined)
          log.error({ event: 'capture_token_problem', problem }, 'CAPTURE_TOKEN_FILE cannot be used')
      },
    })
    return new TokenAccess(file)
  }

  userOf(token: string): Promise<CaptureUser | undefined> {
    const expected = this.#file.value
    if (expected === undefined)
      throw new PodsonarError('auth_unavailable', 'CAPTURE_TOKEN_FILE cannot be read: nobody may capture')
    const isIt = timingSafeEqual(digest(token), digest(expected))
    return Promise.resolve(
      isIt ? { name: 'holder of CAPTURE_TOKEN_FILE', mayCapture: () => Promise.resolve(true) } : undefined,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]()
  }
}

/** Of one length, whatever the token's. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
