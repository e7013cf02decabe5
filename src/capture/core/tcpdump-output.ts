/** What tcpdump writes to stderr. */

/** Of one capture. */
export interface TcpdumpStatistics {
  /** Packets that tcpdump took. */
  readonly captured: number
  /** Packets that passed the filter. */
  readonly received: number
  /** Packets that the kernel dropped for want of room in the buffer. */
  readonly dropped: number
}

/** Whether tcpdump has begun to capture. */
export function isListening(stderr: string): boolean {
  return /^tcpdump: listening on .+$/m.test(stderr)
}

/**
 * The newest statistics: one line on SIGUSR1, three lines at the end.
 *
 * @returns undefined when there are none yet
 */
export function lastStatistics(stderr: string): TcpdumpStatistics | undefined {
  const pattern =
    /(\d+) packets? captured,?\s+(\d+) packets? received by filter,?\s+(\d+) packets? dropped by kernel/g
  const last = [...stderr.matchAll(pattern)].at(-1)
  if (last === undefined) return undefined
  return { captured: Number(last[1]), received: Number(last[2]), dropped: Number(last[3]) }
}

/**
 * A decoded line without the name of the interface, of which the packet has only the index: tcpdump gives the name that this
 * index has where it decodes, which is another interface's.
 */
export function withoutInterfaceName(line: string): string {
  return line.replace(
    /^(\S+) \S+ +(In|Out|M|B|P) +/,
    (_all, time: string, way: string) => `${time} ${way.padEnd(3)} `,
  )
}

/** What was wrong, in tcpdump's own words, without what it says in any case. */
export function complaint(stderr: string): string {
  return stderr
    .split('\n')
    .map((line) => line.replace(/^(tcpdump|nsenter|setpriv): /, '').trim())
    .filter(
      (line) =>
        line !== '' &&
        !/^(data link type|listening on|verbose output suppressed|Warning:)|^\d+ packets? /.test(line),
    )
    .join('; ')
    .slice(0, 500)
}
