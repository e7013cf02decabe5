/**
 * /proc/PID/net/dev: traffic by interface.
 *
 *     Inter-|   Receive                                                |  Transmit
 *      face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
 *      eth0: 305856 12 0 0 0 0 0 0 7760 13 0 0 0 0 0 0
 */
import { PodsonarError } from '../../common/errors.ts'

/** One direction of an interface, since it came up. */
export interface Traffic {
  readonly bytes: number
  readonly packets: number
  readonly errors: number
  readonly dropped: number
}

export interface InterfaceTraffic {
  readonly name: string
  readonly received: Traffic
  readonly transmitted: Traffic
}

/** @throws PodsonarError `malformed_proc_file` */
export function parseNetDev(text: string): InterfaceTraffic[] {
  const lines = text.split('\n')
  if (!text.endsWith('\n') || !lines[1]?.includes('face |bytes')) fail(lines[0] ?? '')
  return lines.slice(2, -1).map((line) => {
    const colon = line.lastIndexOf(':')
    const name = line.slice(0, colon).trim()
    const numbers = line
      .slice(colon + 1)
      .trim()
      .split(/ +/)
    if (colon < 1 || numbers.length !== 16 || !numbers.every((number) => /^\d{1,20}$/.test(number)))
      fail(line)
    const traffic = (from: number): Traffic => {
      const [bytes = 0, packets = 0, errors = 0, dropped = 0] = numbers.slice(from, from + 4).map(Number)
      return { bytes, packets, errors, dropped }
    }
    return { name, received: traffic(0), transmitted: traffic(8) }
  })
}

function fail(line: string): never {
  throw new PodsonarError(
    'malformed_proc_file',
    `Cannot read net/dev: ${JSON.stringify(line.slice(0, 100))}, expected lines as in proc(5)`,
  )
}
