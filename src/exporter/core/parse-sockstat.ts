/**
 * /proc/PID/net/sockstat, sockstat6 and snmp: see net/ipv4/proc.c.
 *
 *     sockets: used 17
 *     TCP: inuse 1 orphan 0 tw 16 alloc 1 mem 91
 */
import { PodsonarError } from '../../common/errors.ts'

/** Figures by protocol and name: `get('Tcp')?.get('CurrEstab')`. */
export type Snmp = ReadonlyMap<string, ReadonlyMap<string, number>>

/**
 * One number of sockstat or sockstat6: `sockstatFigure(text, 'TCP', 'inuse')`. Only its line is looked at, since these files
 * are read for every pod at every scrape.
 *
 * @throws PodsonarError `malformed_proc_file` when it is not there, or the text is cut
 */
export function sockstatFigure(text: string, row: string, name: string): number {
  const [from, to] = lineOf(text, `${row}:`, 0, 'sockstat')
  const at = text.indexOf(` ${name} `, from)
  if (at < 0 || at >= to) fail('sockstat', text.slice(from, to))
  return numberAt(text, at + name.length + 2, 'sockstat')
}

/**
 * One number of snmp or netstat, as {@link sockstatFigure}: `snmpFigure(text, 'Tcp', 'CurrEstab')`.
 *
 * @throws PodsonarError `malformed_proc_file`
 */
export function snmpFigure(text: string, group: string, name: string): number {
  const [namesFrom, namesTo] = lineOf(text, `${group}:`, 0, 'snmp')
  const [from, to] = lineOf(text, `${group}:`, namesTo, 'snmp')
  let found = -1
  let [nameAt, valueAt] = [namesFrom, from]
  while (nameAt < namesTo && valueAt < to) {
    const nameEnd = endOfWord(text, nameAt, namesTo)
    if (nameEnd - nameAt === name.length && text.startsWith(name, nameAt)) found = valueAt
    nameAt = nameEnd + 1
    valueAt = endOfWord(text, valueAt, to) + 1
  }
  const sameLength = nameAt > namesTo && valueAt > to
  if (from !== namesTo + 1 || found < 0 || !sameLength) fail('snmp', text.slice(namesFrom, namesTo))
  return numberAt(text, found, 'snmp')
}

function endOfWord(text: string, from: number, lineEnd: number): number {
  const blank = text.indexOf(' ', from)
  return blank < 0 || blank > lineEnd ? lineEnd : blank
}

/** Where the first line is, from `after` on, that begins with `head`: without its end. */
function lineOf(text: string, head: string, after: number, file: string): [from: number, to: number] {
  if (!text.endsWith('\n')) fail(file, text.slice(text.lastIndexOf('\n') + 1))
  const atStart = after === 0 && text.startsWith(head)
  const from = atStart ? 0 : text.indexOf(`\n${head}`, after) + 1
  if (from === 0 && !atStart) fail(file, `no line ${head}`)
  return [from, text.indexOf('\n', from)]
}

function numberAt(text: string, from: number, file: string): number {
  let to = from
  while (text.charCodeAt(to) > 32) to += 1
  const number = text.slice(from, to)
  if (!/^\d{1,20}$/.test(number)) fail(file, text.slice(from, from + 100))
  return Number(number)
}

/**
 * All of snmp, or of /proc/PID/net/netstat: pairs of lines, names and numbers.
 *
 *     Tcp: RtoAlgorithm RtoMin …
 *     Tcp: 1 200 …
 *
 * @throws PodsonarError `malformed_proc_file` when the two lines of a pair do not belong together or the text is cut
 */
export function parseSnmp(text: string): Snmp {
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
