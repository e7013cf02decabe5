/**
 * Files of the cgroup file systems, version 1 (Documentation/admin-guide/cgroup-v1) and 2 (cgroup-v2.rst). Each reader
 * throws PodsonarError `malformed_cgroup_file` at what the kernel does not write, or at a cut text.
 */
import { PodsonarError } from '../../common/errors.ts'

/** A file with one number. `max` is Infinity. */
export function parseSingle(text: string): number {
  if (text === 'max\n') return Number.POSITIVE_INFINITY
  const match = /^(\d{1,20})\n$/.exec(text)
  if (match === null) fail('a number', text)
  return Number(match[1])
}

/** A flat keyed file: `cpu.stat`, `memory.stat`, `memory.events`. */
export function parseFlat(text: string): ReadonlyMap<string, number> {
  return new Map(
    linesOf(text).map((line) => {
      const match = /^(\S+) (\d{1,20})$/.exec(line)
      if (match === null) fail('key and number', line)
      return [match[1] ?? '', Number(match[2])]
    }),
  )
}

/** Device traffic by `major:minor`. */
export type BlockStats = ReadonlyMap<string, Readonly<Record<string, number>>>

/** `io.stat` of version 2: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`. */
export function parseIoStat(text: string): BlockStats {
  return new Map(
    linesOf(text).flatMap((line) => {
      const [device = '', ...pairs] = line.trimEnd().split(' ')
      if (!/^\d+:\d+$/.test(device)) fail('a device', line)
      const figures = pairs.map((pair): [string, number] => {
        const match = /^([a-z._]+)=(\d{1,20})$/.exec(pair)
        if (match === null) fail('key=number', line)
        return [match[1] ?? '', Number(match[2])]
      })
      return figures.length === 0 ? [] : [[device, Object.fromEntries(figures)]]
    }),
  )
}

/** `blkio.throttle.*` of version 1: `8:0 Read 4096`, and at last `Total 4096`. */
export function parseBlkio(text: string): BlockStats {
  const devices = new Map<string, Record<string, number>>()
  for (const line of linesOf(text)) {
    const match = /^(?:(\d+:\d+) )?(Read|Write|Sync|Async|Discard|Total) (\d{1,20})$/.exec(line)
    if (match === null) fail('device, kind and number', line)
    const [, device, kind = '', number] = match
    if (device === undefined) continue
    const figures = devices.get(device) ?? {}
    figures[kind] = Number(number)
    devices.set(device, figures)
  }
  return devices
}

/** Microseconds in which tasks waited for a resource (Documentation/accounting/psi.rst). */
export interface Pressure {
  /** Some task waited. */
  readonly waiting: number
  /** All waited: none got on. Kernels before 5.13 do not say it of the CPU. */
  readonly stalled: number | undefined
}

/** `cpu.pressure`, `memory.pressure`, `io.pressure`: `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`. */
export function parsePressure(text: string): Pressure {
  const totals = new Map(
    linesOf(text).map((line) => {
      const match = /^(some|full) avg10=[\d.]+ avg60=[\d.]+ avg300=[\d.]+ total=(\d{1,20})$/.exec(line)
      if (match === null) fail('a line of psi.rst', line)
      return [match[1] ?? '', Number(match[2])]
    }),
  )
  const waiting = totals.get('some')
  if (waiting === undefined) fail('a line "some"', text)
  return { waiting, stalled: totals.get('full') }
}

function linesOf(text: string): string[] {
  if (text === '') return []
  if (!text.endsWith('\n')) fail('whole lines', text.slice(-100))
  return text.slice(0, -1).split('\n')
}

function fail(expected: string, text: string): never {
  throw new PodsonarError(
    'malformed_cgroup_file',
    `Cannot read a cgroup file: ${JSON.stringify(text.slice(0, 100))}, expected ${expected}`,
  )
}
