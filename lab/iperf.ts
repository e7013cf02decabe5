/** Bulk traffic, made by iperf3. */
import { unpackedEnvironment } from './needs.ts'
import { Process } from './process.ts'
import { processUsage } from './process-usage.ts'
import { waitFor } from './wait.ts'

export interface IperfOptions {
  /** Datagrams of this many bytes, as fast as they go; undefined: TCP. */
  readonly datagramBytes?: number
  /** The processors of sender and receiver. @default any */
  readonly processors?: readonly [sender: number, receiver: number]
}

/** A server in the network namespace of a process, until it is disposed of. */
export class IperfServer implements AsyncDisposable {
  readonly #process: Process

  private constructor(process: Process) {
    this.#process = process
  }

  static async start(pid: number): Promise<IperfServer> {
    const server = new IperfServer(await startInNamespace(pid, ['-s', '--forceflush']))
    try {
      await waitFor('iperf3 to listen', () => server.#process.stdout.includes('listening'))
      return server
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Processor time so far, in milliseconds. */
  get cpuMs(): number {
    return processUsage(this.#process.pid).cpuMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}

/** A stream to a server, from the network namespace of a process, until it is disposed of. */
export class IperfStream implements AsyncDisposable {
  readonly #process: Process

  private constructor(process: Process) {
    this.#process = process
  }

  /** @throws Error with iperf3's words */
  static async start(
    pid: number,
    address: string,
    { datagramBytes, processors }: IperfOptions = {},
  ): Promise<IperfStream> {
    const kind = datagramBytes === undefined ? [] : ['-u', '-b', '0', '-l', String(datagramBytes)]
    const pinned = processors === undefined ? [] : ['-A', processors.join(',')]
    const args = ['--forceflush', '-c', address, '-t', '86400', ...kind, ...pinned]
    const stream = new IperfStream(await startInNamespace(pid, args))
    try {
      await waitFor('iperf3 to send', () => {
        const { running, stdout, stderr } = stream.#process
        if (!running) throw new Error(`iperf3: ${stderr}`)
        return stdout.includes('/sec')
      })
      return stream
    } catch (error) {
      await stream[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Processor time so far, in milliseconds. */
  get cpuMs(): number {
    return processUsage(this.#process.pid).cpuMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}

function startInNamespace(pid: number, args: readonly string[]): Promise<Process> {
  const entered = ['--target', String(pid), '--net', 'iperf3', ...args]
  return Process.start('iperf3', 'nsenter', entered, {
    env: { ...process.env, ...unpackedEnvironment('iperf3') },
  })
}
