import type { Logger } from './logger.ts'

/** What every mode is started with. */
export interface ModeContext {
  readonly log: Logger
  /** Aborted when the program is asked to stop. */
  readonly signal: AbortSignal
}

/** A mode that runs: disposing of it finishes what is in flight and closes all that it opened. */
export interface RunningMode extends AsyncDisposable {
  /** Resolves when the mode ended by itself (`ONCE=true`), rejects when it cannot go on. Most modes never settle it. */
  readonly finished: Promise<void>
}

/** A promise that never settles: `finished` of a mode that only ends when told to. */
export const never: Promise<void> = new Promise<void>(() => undefined)

/** Resolves when `signal` is aborted, at once if it is already. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else
      signal.addEventListener(
        'abort',
        () => {
          resolve()
        },
        { once: true },
      )
  })
}

/** Waits `ms`, or less if `signal` is aborted. Never rejects: the caller looks at the signal. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}
