/** Bulk traffic, made by iperf3. Needs root. */
import { join } from 'node:path'
import { unpacked, unpackedEnvironment } from './needs.ts'
import { Process, run } from './process.ts'
import { waitFor } from './wait.ts'

export interface IperfOptions {
  /** Datagrams of this many bytes, as fast as they go; undefined: TCP. */
  readonly datagramBytes?: number
  /** The processors of sender and receiver. @default any */
  readonly processors?: readonly [sender: number, receiver: number]
}

/** A server in the network namespace of a process. @throws Error with iperf3's words */
export function startIperfServer(pid: number): Promise<Process> {
  return startUntil(pid, ['-s'], 'listening')
}

/** A stream from the network namespace of a process to a server, until it is disposed of. @throws Error with iperf3's words */
export function startIperfStream(
  pid: number,
  address: string,
  { datagramBytes, processors }: IperfOptions = {},
): Promise<Process> {
  const kind = datagramBytes === undefined ? [] : ['-u', '-b', '0', '-l', String(datagramBytes)]
  const pinned = processors === undefined ? [] : ['-A', processors.join(',')]
  return startUntil(pid, ['-c', address, '-t', '86400', ...kind, ...pinned], '/sec')
}

/**
 * Sends to a server from this machine.
 *
 * @param args `-u`, `-b 1G`, …
 * @returns bits a second that arrived
 */
export async function runIperf(host: string, args: readonly string[]): Promise<number> {
  const { program, env } = await iperf()
  const { end } = JSON.parse(await run(program, ['-c', host, '-J', ...args], { env })) as {
    end: { sum_received?: { bits_per_second: number }; sum?: { bits_per_second: number } }
  }
  return end.sum_received?.bits_per_second ?? end.sum?.bits_per_second ?? Number.NaN
}

/** Starts it in the network namespace of a process, and waits until it says `said`. */
async function startUntil(pid: number, args: readonly string[], said: string): Promise<Process> {
  const { program, env } = await iperf()
  const inside = [`--net=/proc/${pid}/ns/net`, '--', program, '--forceflush', ...args]
  const started = await Process.start('iperf3', 'nsenter', inside, { env })
  try {
    await waitFor(`iperf3 to say ${said}`, () => !started.running || started.stdout.includes(said))
    if (!started.running) throw new Error(`iperf3 ended: ${started.stderr}${started.stdout}`)
    return started
  } catch (error) {
    await started[Symbol.asyncDispose]()
    throw error
  }
}

async function iperf(): Promise<{ program: string; env: NodeJS.ProcessEnv }> {
  const program = join(await unpacked('iperf3'), 'usr/bin/iperf3')
  return { program, env: { ...process.env, ...unpackedEnvironment('iperf3') } }
}
