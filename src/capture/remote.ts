/** `podsonar capture` from anywhere: the exporters of the pods' nodes capture. */
import { readFileSync } from 'node:fs'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { once } from 'node:events'
import { request as httpRequest } from '../common/node-http.ts'
import { PodsonarError, SettingsError, describeError } from '../common/errors.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import { loadClusterConfig } from '../kubernetes/cluster-config.ts'
import { forwardPort } from '../kubernetes/port-forward.ts'
import type { CaptureOutcome, EndReason } from './capture.ts'
import type { CaptureCommand } from './core/arguments.ts'
import { PcapFramer } from './core/pcap.ts'
import { captureQuery } from './core/request.ts'
import { exporterOn, podsToCapture, type ExporterPod, type PodToCapture } from './cluster-pods.ts'
import { capturePath } from './endpoint.ts'
import type { CaptureOutput } from './outputs.ts'
import type { Progress } from './progress.ts'

/** A capture that its exporter has begun. */
interface Begun {
  readonly label: string
  readonly response: IncomingMessage
}

/** Captures that exporters make. */
export class RemoteCapture implements AsyncDisposable {
  readonly #begun: readonly Begun[]
  readonly #owned: AsyncDisposableStack

  private constructor(begun: readonly Begun[], owned: AsyncDisposableStack) {
    this.#begun = begun
    this.#owned = owned
  }

  /**
   * Finds the exporters and has all of them begin; the filter is compiled there.
   *
   * @throws PodsonarError the exporter's refusal, or what the API server says
   * @throws SettingsError when there is no way to a cluster, or no token
   */
  static async begin(command: CaptureCommand, signal: AbortSignal): Promise<RemoteCapture> {
    await using owned = new AsyncDisposableStack()
    const begun: Begun[] = []
    const begin = async (pod: PodToCapture, way: Way, token: string): Promise<void> => {
      const response = await ask(command, pod, way, token, signal)
      owned.defer(() => {
        response.destroy()
      })
      begun.push({ label: `${pod.namespace}/${pod.name}`, response })
    }
    const { exporter, subject, namespace = 'default' } = command
    if (exporter !== undefined && subject.kind === 'pod') {
      await begin(
        { namespace, name: subject.name, node: '' },
        { url: exporter },
        readToken(command) ?? noToken(),
      )
      return new RemoteCapture(begun, owned.move())
    }
    const config = loadClusterConfig({ kubeconfig: command.kubeconfig })
    const client = owned.use(new KubernetesClient(config))
    const token = readToken(command) ?? (await kubeconfigToken(config)) ?? noToken()
    const pods = await podsToCapture(
      client,
      { ...command, namespace: command.namespace ?? config.namespace },
      signal,
    )
    for (const pod of pods) {
      const at = await exporterOn(client, pod, command.exporterNamespace, signal)
      const tunnel = await forwardPort(config, { namespace: at.namespace, pod: at.name, port: at.port })
      owned.defer(() => {
        tunnel.destroy()
      })
      await begin(pod, { tunnel, at }, token)
    }
    return new RemoteCapture(begun, owned.move())
  }

  get labels(): string[] {
    return this.#begun.map(({ label }) => label)
  }

  /** Takes what the exporters send, to their end or the abort of `signal`. */
  to(output: CaptureOutput, progress: Progress, signal: AbortSignal): Promise<CaptureOutcome[]> {
    return Promise.all(
      this.#begun.map(async ({ label, response }) => {
        const outcome = await receive(response, output.sinkFor(label), signal, (now) => {
          progress.update(label, { ...now, dropped: undefined })
        })
        output.finish(label, outcome)
        progress.finished(label, outcome)
        return outcome
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}

/** How an exporter is reached: at its own address, or through the API server. */
type Way = { readonly url: URL } | { readonly tunnel: Duplex; readonly at: ExporterPod }

async function ask(
  { options, seconds, bytes, caFile }: CaptureCommand,
  { namespace, name }: PodToCapture,
  way: Way,
  token: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const query = captureQuery({
    ...{ ...options, namespace, pod: name },
    ...(seconds === undefined ? {} : { seconds }),
    ...(bytes === undefined ? {} : { bytes }),
  })
  const ca = caFile === undefined ? {} : { ca: readFileSync(caFile) }
  const request: RequestOptions = {
    ...{ path: `${capturePath}?${query}`, headers: { authorization: `Bearer ${token}` }, signal },
  }
  let sent
  if ('url' in way) {
    const { protocol, hostname, port } = way.url
    const target = { ...request, host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port || 28_880 }
    sent = protocol === 'https:' ? httpsRequest({ ...target, ...ca }) : httpRequest(target)
  } else {
    const { tunnel, at } = way
    // The API server brought us to that very pod: a certificate says more only if its authority is named.
    const socket = at.tls
      ? connectTls({ socket: tunnel, rejectUnauthorized: caFile !== undefined, servername: at.name, ...ca })
      : tunnel
    sent = httpRequest({ ...request, host: at.name, createConnection: () => socket })
  }
  sent.end()
  const [response] = (await once(sent, 'response').catch((cause: unknown) => {
    throw new PodsonarError(
      'exporter_unreachable',
      `Cannot reach the exporter of ${namespace}/${name}: ${describeError(cause)}`,
      { cause },
    )
  })) as [IncomingMessage]
  sent.on('error', () => undefined)
  if (response.statusCode === 200) return response
  throw await refusal(response)
}

/** At most so much of a refusal is read, in bytes. */
const maxRefusalBytes = 65_536

async function refusal(response: IncomingMessage): Promise<PodsonarError> {
  let text = ''
  for await (const chunk of response as AsyncIterable<Buffer>) {
    text += chunk.toString('utf8')
    if (text.length > maxRefusalBytes) break
  }
  try {
    const { error, message } = JSON.parse(text) as { error?: string; message?: string }
    if (error === 'not_found')
      return new PodsonarError('capture_off', 'The exporter makes no captures, expected CAPTURE=true there')
    if (error !== undefined && message !== undefined)
      return new PodsonarError(error, `The exporter says: ${message}`)
  } catch {
    // Said below.
  }
  return new PodsonarError(
    'exporter_refused',
    `The exporter answered ${response.statusCode ?? 0}: ${text.slice(0, 200)}`,
  )
}

async function receive(
  response: IncomingMessage,
  sink: ReturnType<CaptureOutput['sinkFor']>,
  signal: AbortSignal,
  onProgress: (progress: { packets: number; bytes: number }) => void,
): Promise<CaptureOutcome> {
  const startedAt = performance.now()
  const framer = new PcapFramer()
  let failure: string | undefined
  let reason: EndReason | undefined
  const stop = (): void => {
    reason = 'stopped'
    response.destroy()
  }
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      const pieces = framer.take(chunk)
      if (pieces.length > 0 && !sink.write(pieces)) await sink.drained()
      onProgress({ packets: framer.packets, bytes: framer.bytes })
    }
  } catch (error) {
    failure = `the connection to the exporter broke: ${describeError(error)}`
  } finally {
    signal.removeEventListener('abort', stop)
  }
  const { trailers } = response
  reason ??= (trailers['x-capture-end'] as EndReason | undefined) ?? 'failed'
  return {
    ...{ packets: framer.packets, bytes: framer.bytes, reason },
    failure: reason === 'failed' ? (failure ?? 'the exporter did not say how it ended') : undefined,
    received: Number(trailers['x-capture-received'] ?? framer.packets),
    dropped: Number(trailers['x-capture-dropped'] ?? 0),
    seconds: (performance.now() - startedAt) / 1_000,
  }
}

function readToken({ tokenFile }: CaptureCommand): string | undefined {
  return tokenFile === undefined ? undefined : readFileSync(tokenFile, 'utf8').trim()
}

async function kubeconfigToken(config: ReturnType<typeof loadClusterConfig>): Promise<string | undefined> {
  const { headers } = await config.authenticate()
  return /^Bearer (.+)$/.exec(String(headers?.['authorization'] ?? headers?.['Authorization'] ?? ''))?.[1]
}

function noToken(): never {
  throw new SettingsError([
    '--token-file: expected a file with a token for the exporter, since the kubeconfig has none to show',
  ])
}
