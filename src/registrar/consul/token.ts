import { readFile } from 'node:fs/promises'
import { describeError, PodsonarError } from '../../common/errors.ts'

/** How long a token that was read from its file is used, in milliseconds. */
const keepMs = 10_000

/**
 * The ACL token of CONSUL_HTTP_TOKEN or of the file CONSUL_HTTP_TOKEN_FILE, which is read again, so that a rotated
 * token is taken up within 10 s. A file that cannot be read for a while leaves the last token in use.
 *
 * @throws PodsonarError `consul_token_unreadable` from the returned function, while the file never could be read
 */
export function tokenSource(
  value: string | undefined,
  file: string | undefined,
): () => Promise<string | undefined> {
  if (file === undefined) return () => Promise.resolve(value)
  let token: string | undefined
  let readAt = Number.NEGATIVE_INFINITY
  return async () => {
    if (performance.now() - readAt < keepMs) return token
    try {
      token = (await readFile(file, 'utf8')).trim()
      readAt = performance.now()
    } catch (cause) {
      if (token === undefined) {
        throw new PodsonarError(
          'consul_token_unreadable',
          `Cannot read the Consul token from ${file} (CONSUL_HTTP_TOKEN_FILE): ${describeError(cause)}`,
          { cause },
        )
      }
    }
    return token === '' ? undefined : token
  }
}
