/** Waits for a condition instead of sleeping. */
import { setTimeout as delay } from 'node:timers/promises'

export interface WaitOptions {
  /** @default 30000 */
  readonly timeoutMs?: number
  /** @default 50 */
  readonly everyMs?: number
}

/**
 * Calls `condition` until it gives something other than undefined and false, and returns that. What it throws counts as
 * not yet.
 *
 * @throws Error that names `what`, and the last error, when the time is over
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeoutMs = 30_000, everyMs = 50 }: WaitOptions = {},
): Promise<Exclude<T, undefined | false | null>> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value !== undefined && value !== false && value !== null)
        return value as Exclude<T, undefined | false | null>
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline)
      throw new Error(`Gave up after ${timeoutMs} ms waiting for ${what}`, { cause: last })
    await delay(everyMs)
  }
}
