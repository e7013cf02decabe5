/** What `podsonar healthcheck` asks: the /healthz of a mode that runs in the same container. */
import { request as requestTls } from 'node:https'
import { describeError, PodsonarError } from '../errors.ts'
import { request as requestPlain } from '../node-http.ts'

/** How long an answer may take, in milliseconds; Kubernetes' probes in deploy/ wait as long. */
const withinMs = 5_000

export interface HealthTarget {
  /** LISTEN_ADDRESS; undefined: all, so loopback too. */
  readonly address: string | undefined
  readonly port: number
  /** It may have TLS, by WEB_CONFIG_FILE. */
  readonly mayHaveTls: boolean
}

/** @throws PodsonarError `not_healthy` unless it answers 200 within 5 s */
export async function askHealth({ address = '127.0.0.1', port, mayHaveTls }: HealthTarget): Promise<void> {
  const options = { host: address, port, path: '/healthz', timeout: withinMs, agent: false }
  const ask = (send: typeof requestPlain | typeof requestTls): Promise<void> =>
    new Promise((resolve, reject) => {
      // It is ourselves that answer, on this machine, and nothing secret is sent: any certificate will do.
      const request = send({ ...options, rejectUnauthorized: false }, (response) => {
        response.resume()
        if (response.statusCode === 200) resolve()
        else reject(new Error(`the answer was ${response.statusCode ?? 0}, expected 200`))
      })
      request.on('timeout', () => {
        request.destroy(new Error(`no answer within ${withinMs} ms`))
      })
      request.on('error', reject)
      request.end()
    })
  try {
    await Promise.any([ask(requestPlain), ...(mayHaveTls ? [ask(requestTls)] : [])])
  } catch (error) {
    const reasons: unknown[] = error instanceof AggregateError ? error.errors : [error]
    throw new PodsonarError(
      'not_healthy',
      `Cannot get /healthz at ${address} port ${port}: ${reasons.map(describeError).join('; ')}`,
    )
  }
}
