/** Bulk traffic, made by iperf3. */
import { unpackedEnvironment } from './needs.ts'
import { Process, run } from './process.ts'
import { waitFor } from './wait.ts'

/** What a stream came to. */
export interface Throughput {
  readonly bitsPerSecond: number
  /** Of a stream of datagrams: how many were sent. 0 of TCP. */
  readonly datagrams: number
  /** Processor seconds of sender and receiver together. */
  readonly cpuSeconds: number
}

export interface IperfOptions {
  readonly seconds: number
  /** Datagrams of this many bytes, as fast as they go; undefined: TCP. */
  readonly datagramBytes?: number
}

interface Report {
  readonly error?: string
  readonly end: {
    readonly sum?: { readonly packets: number; readonly bits_per_second: number }
    readonly sum_received?: { readonly bits_per_second: number }
    readonly cpu_utilization_percent?: { readonly host_total: number; readonly remote_total: number }
  }
}

/** A server in the network namespace of a process, until it is disposed of. */
export class IperfServer implements AsyncDisposable {
  readonly #process: Process

  private constructor(process: Process) {
    this.#process = process
  }

  static async start(pid: number): Promise<IperfServer> {
    const server = new IperfServer(await Process.start('iperf3', ...inNamespace(pid, ['-s', '--forceflush'])))
    try {
      await waitFor('iperf3 to listen', () => server.#process.stdout.includes('listening'))
      return server
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}

/**
 * Sends to a server at `address` from the network namespace of a process.
 *
 * @throws Error with iperf3's words
 */
export async function sendBulk(
  pid: number,
  address: string,
  { seconds, datagramBytes }: IperfOptions,
): Promise<Throughput> {
  const kind = datagramBytes === undefined ? [] : ['-u', '-b', '0', '-l', String(datagramBytes)]
  const [command, args, options] = inNamespace(pid, ['-J', '-c', address, '-t', String(seconds), ...kind])
  const { end, error } = JSON.parse(await run(command, args, options)) as Report
  if (end.cpu_utilization_percent === undefined) throw new Error(`iperf3: ${error ?? 'no result'}`)
  const { host_total: host, remote_total: remote } = end.cpu_utilization_percent
  return {
    bitsPerSecond: (end.sum ?? end.sum_received)?.bits_per_second ?? Number.NaN,
    datagrams: end.sum?.packets ?? 0,
    cpuSeconds: ((host + remote) / 100) * seconds,
  }
}

function inNamespace(
  pid: number,
  args: readonly string[],
): [command: string, args: string[], options: { env: NodeJS.ProcessEnv }] {
  const entered = ['--target', String(pid), '--net', 'iperf3', ...args]
  return ['nsenter', entered, { env: { ...process.env, ...unpackedEnvironment('iperf3') } }]
}
