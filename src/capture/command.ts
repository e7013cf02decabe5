/** `podsonar capture`: finds out where, captures, and tells on stderr how it goes. */
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { SettingsError } from '../common/errors.ts'
import type { Logger } from '../common/logger.ts'
import type { CaptureOutcome } from './capture.ts'
import { parseCaptureArguments, captureHelp, type CaptureCommand } from './core/arguments.ts'
import { Node, type NodeSettings } from './local.ts'
import { DecodedOutput, PcapngOutput, PcapOutput, type CaptureOutput } from './outputs.ts'
import { Progress } from './progress.ts'

/** What the environment says of this machine. */
export interface CaptureEnvironment extends NodeSettings {
  readonly kubeconfig: string | undefined
  readonly tokenFile: string | undefined
}

/**
 * Runs `podsonar capture ARGS`.
 *
 * @param signal aborted to end it; what has been captured is kept
 * @returns the exit status: 0 when every capture ended as it should
 * @throws SettingsError for what cannot be understood; PodsonarError for what cannot be captured
 */
export async function captureCommand(
  args: readonly string[],
  environment: CaptureEnvironment,
  log: Logger,
  signal: AbortSignal,
): Promise<number> {
  const given = parseCaptureArguments(args)
  if (given === undefined) {
    process.stdout.write(captureHelp)
    return 0
  }
  const command = {
    ...given,
    kubeconfig: given.kubeconfig ?? environment.kubeconfig,
    tokenFile: given.tokenFile ?? environment.tokenFile,
  }
  using node = new Node(environment, log)
  const outcomes = (await isHere(command, node))
    ? await onNode(command, node, signal)
    : await inCluster(command, signal)
  return outcomes.every(({ reason }) => reason !== 'failed') ? 0 : 1
}

async function isHere({ place, exporter }: CaptureCommand, node: Node): Promise<boolean> {
  if (place !== undefined || exporter !== undefined) return place === 'node'
  return node.isNode()
}

async function onNode(command: CaptureCommand, node: Node, signal: AbortSignal): Promise<CaptureOutcome[]> {
  using capture = await node.prepare(command)
  const { labels } = capture
  using progress = begin(command, labels)
  if (command.output !== undefined && command.output !== '-' && labels.length === 1)
    return await capture.toFile(command.output, progress, signal)
  return await withOutput(command, labels, signal, (output, until) => capture.to(output, progress, until))
}

async function inCluster(command: CaptureCommand, signal: AbortSignal): Promise<CaptureOutcome[]> {
  // It takes 80 MB to know Kubernetes: not on a node.
  const { RemoteCapture } = await import('./remote.ts')
  await using capture = await RemoteCapture.begin(command, signal)
  using progress = begin(command, capture.labels)
  return await withOutput(command, capture.labels, signal, (output, until) =>
    capture.to(output, progress, until),
  )
}

function begin({ seconds, options }: CaptureCommand, labels: readonly string[]): Progress {
  const progress = new Progress(process.stderr, seconds)
  const filter = options.filter === '' ? 'everything' : JSON.stringify(options.filter)
  progress.say(`capturing ${filter} of ${labels.join(', ')} (interface ${options.interface})`)
  return progress
}

/** Captures into what the command line asks for, which ends the captures when it takes no more. */
async function withOutput(
  { output, options }: CaptureCommand,
  labels: readonly string[],
  signal: AbortSignal,
  work: (output: CaptureOutput, until: AbortSignal) => Promise<CaptureOutcome[]>,
): Promise<CaptureOutcome[]> {
  const gone = new AbortController()
  const onError = (): void => {
    gone.abort('client_gone')
  }
  process.stdout.on('error', onError)
  const several = labels.length > 1
  const stream = output === undefined || output === '-' ? process.stdout : await createFile(output)
  stream.on('error', onError)
  const to =
    output === undefined
      ? new DecodedOutput(stream, several)
      : several
        ? new PcapngOutput(stream, options.filter)
        : new PcapOutput(stream)
  const outcomes = await work(to, AbortSignal.any([signal, gone.signal]))
  await to.close()
  return outcomes
}

async function createFile(path: string): Promise<Writable> {
  // Packets are nobody else's business.
  const file = createWriteStream(path, { mode: 0o600 })
  try {
    await once(file, 'open')
  } catch (error) {
    throw new SettingsError([`--write: cannot write ${path}: ${String(error)}`])
  }
  return file
}
