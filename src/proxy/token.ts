import { PolledFile } from '../common/polled-file.ts'

/** Where Kubernetes mounts the token of a pod's service account. */
export const serviceAccountToken = '/var/run/secrets/kubernetes.io/serviceaccount/token'

/** How long a token is used before its file is read again, in milliseconds, as client-go does. */
const readEveryMs = 60_000

/**
 * The token that kubelets see, as client-go handles it: read again every minute and after a 401, kept while a reading
 * fails.
 */
export async function openToken(
  path: string,
  onChange: (usable: boolean, problem: string | undefined) => void,
): Promise<PolledFile<string>> {
  const tell = ({ value, problem }: PolledFile<string>): void => {
    onChange(value !== undefined, problem)
  }
  return PolledFile.open({ path, everyMs: readEveryMs, parse: parseToken, onChange: tell })
}

/**
 * @param text the content of a token file
 * @throws Error when it holds no token, or one that no HTTP header could carry
 */
export function parseToken(text: string): string {
  const token = text.trim()
  if (token === '') throw new Error('it is empty, expected a bearer token')
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new Error('it holds spaces, line breaks or unprintable characters, expected one bearer token')
  return token
}
