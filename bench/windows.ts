/** Windows of one load that goes on all the time: each is set against those beside it in which nothing is different. */

interface Window {
  /** What is different in it. */
  readonly way: string
  /** How much others computed meanwhile, in any unit. @default 0 */
  readonly others?: number
}

/** A figure of a window, and what it would be without what is different in it. */
export interface Compared {
  readonly value: number
  readonly plain: number
  /** The most that others computed in one of the windows that it is made of. */
  readonly others: number
}

/**
 * A figure of each window of a way, and the mean of that of the nearest plain ones before and after it: a machine's speed drifts.
 *
 * @param plain the way in which nothing is different; as `way`: its windows against the nearest of their kind, which is chance
 */
export function besidePlain<W extends Window>(
  windows: readonly W[],
  way: W['way'],
  plain: W['way'],
  figure: (window: W) => number,
): Compared[] {
  const isPlain = (window: W): boolean => window.way === plain
  return windows.flatMap((window, index) => {
    if (window.way !== way) return []
    const before = windows.slice(0, index).findLast(isPlain)
    const after = windows.slice(index + 1).find(isPlain)
    if (before === undefined || after === undefined) return []
    const others = Math.max(...[before, window, after].map((each) => each.others ?? 0))
    return [{ value: figure(window), plain: (figure(before) + figure(after)) / 2, others }]
  })
}

/** The half in which others computed least: what they take, of whatever kind they are, is taken from what is measured. */
export function quieterHalf(all: readonly Compared[]): Compared[] {
  return all.toSorted((a, b) => a.others - b.others).slice(0, Math.ceil(all.length / 2))
}
