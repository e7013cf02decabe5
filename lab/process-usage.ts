/** What a running process uses, from /proc. */
import { readFileSync } from 'node:fs'

export interface Usage {
  /** Resident memory now, in bytes. */
  readonly rssBytes: number
  /** The largest that it ever was, in bytes. */
  readonly peakRssBytes: number
  /** User and system time so far, in milliseconds, counted in clock ticks of 10 ms. */
  readonly cpuMs: number
}

/** @throws Error when the process is gone. Source: proc(5), /proc/PID/status and /proc/PID/stat. */
export function processUsage(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (field: string): number =>
    1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // Fields are counted after the name in parentheses, which may itself hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  return { rssBytes: bytes('VmRSS'), peakRssBytes: bytes('VmHWM'), cpuMs: ticks * 10 }
}
