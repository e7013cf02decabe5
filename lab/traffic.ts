/** Traffic of pods that is known packet by packet, and traffic that is fast. Needs root. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unpacked, unpackedEnvironment } from './needs.ts'
import { Process, run } from './process.ts'
import { waitFor } from './wait.ts'

const sender = fileURLToPath(new URL('udp-sender.ts', import.meta.url))
const inside = (pid: number): string[] => [`--net=/proc/${pid}/ns/net`, '--']

export interface Datagrams {
  readonly host: string
  readonly port: number
  /** Bytes of each. */
  readonly size: number
  readonly count: number
}

/** Sends datagrams from the network namespace of a process: see udp-sender.ts. */
export async function sendDatagrams(pid: number, { host, port, size, count }: Datagrams): Promise<void> {
  const args = [host, port, size, count].map(String)
  await run('nsenter', [...inside(pid), process.execPath, sender, ...args])
}

/** What {@link sendDatagrams} sends, as hexadecimal text. */
export function datagram(size: number, number: number): string {
  const bytes = Buffer.alloc(size, number)
  bytes.writeUInt32BE(number)
  return bytes.toString('hex')
}

/** An iperf3 server in the network namespace of a process. */
export async function startIperfServer(pid: number): Promise<Process> {
  const program = join(await unpacked('iperf3'), 'usr/bin/iperf3')
  const server = await Process.start('iperf3', 'nsenter', [...inside(pid), program, '-s', '--forceflush'], {
    env: { ...process.env, ...unpackedEnvironment('iperf3') },
  })
  try {
    await waitFor('iperf3 to listen', () => {
      if (!server.running) throw new Error(`iperf3 ended: ${server.stderr}${server.stdout}`)
      return server.stdout.includes('listening')
    })
    return server
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * Sends to an iperf3 server from this machine.
 *
 * @param args `-u`, `-b 1G`, …
 * @returns bits a second that arrived
 */
export async function runIperf(host: string, args: readonly string[]): Promise<number> {
  const program = join(await unpacked('iperf3'), 'usr/bin/iperf3')
  const text = await run(program, ['-c', host, '-J', ...args], {
    env: { ...process.env, ...unpackedEnvironment('iperf3') },
  })
  const { end } = JSON.parse(text) as {
    end: {
      sum_received?: { bits_per_second: number }
      sum?: { bits_per_second: number; lost_percent?: number }
    }
  }
  return end.sum_received?.bits_per_second ?? end.sum?.bits_per_second ?? Number.NaN
}
