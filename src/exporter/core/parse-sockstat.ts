/**
 * /proc/PID/net/sockstat, sockstat6 and snmp: see net/ipv4/proc.c.
 *
 *     sockets: used 17
 *     TCP: inuse 1 orphan 0 tw 16 alloc 1 mem 91
 */
import { PodsonarError } from '../../common/errors.ts'

/** Figures by protocol and name: `get('TCP')?.get('inuse')`. */
export type Sockstat = ReadonlyMap<string, ReadonlyMap<string, number>>

/** @throws PodsonarError `malformed_proc_file` when a line is not `NAME: key number …` or the text is cut */
export function parseSockstat(text: string): Sockstat {
  return new Map(
    lines(text, 'sockstat').map((line) => {
      const [head = '', ...rest] = line.trimEnd().split(' ')
      const pairs = new Map<string, number>()
      for (let k = 0; k < rest.length; k += 2) pairs.set(rest[k] ?? '', toNumber(rest[k + 1], line))
      if (!head.endsWith(':') || pairs.size === 0) fail('sockstat', line)
      return [head.slice(0, -1), pairs]
    }),
  )
}

/**
 * Also /proc/PID/net/netstat: pairs of lines, names and numbers.
 *
 *     Tcp: RtoAlgorithm RtoMin …
 *     Tcp: 1 200 …
 *
 * @throws PodsonarError `malformed_proc_file` when the two lines of a pair do not belong together or the text is cut
 */
export function parseSnmp(text: string): Sockstat {
  const all = lines(text, 'snmp')
  const groups = new Map<string, ReadonlyMap<string, number>>()
  for (let k = 0; k < all.length; k += 2) {
    const names = (all[k] ?? '').trimEnd().split(' ')
    const values = (all[k + 1] ?? '').trimEnd().split(' ')
    const head = names[0] ?? ''
    if (!head.endsWith(':') || values[0] !== head || names.length !== values.length)
      fail('snmp', all[k] ?? '')
    groups.set(
      head.slice(0, -1),
      new Map(names.slice(1).map((name, index) => [name, toNumber(values[index + 1], all[k + 1] ?? '')])),
    )
  }
  return groups
}

function lines(text: string, file: string): string[] {
  if (!text.endsWith('\n')) fail(file, text.slice(text.lastIndexOf('\n') + 1))
  return text.slice(0, -1).split('\n')
}

function toNumber(text: string | undefined, line: string): number {
  if (text === undefined || !/^-?\d{1,20}$/.test(text)) fail('sockstat', line)
  return Number(text)
}

function fail(file: string, line: string): never {
  throw new PodsonarError(
    'malformed_proc_file',
    `Cannot read net/${file}: ${JSON.stringify(line.slice(0, 100))}, expected lines as in proc(5)`,
  )
}
