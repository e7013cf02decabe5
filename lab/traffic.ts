/** Traffic of pods that is known packet by packet. Needs root. */
import { fileURLToPath } from 'node:url'
import { run } from './process.ts'

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
