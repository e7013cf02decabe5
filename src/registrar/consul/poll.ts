import { pause } from '../../common/lifecycle.ts'

/** Calls `check` every `everyMs` until disposed of. What it throws is dropped: it says so itself where that matters. */
export function poll(everyMs: number, check: (signal: AbortSignal) => Promise<void>): Disposable {
  const stop = new AbortController()
  const loop = async (): Promise<void> => {
    for (;;) {
      await pause(everyMs, stop.signal)
      if (stop.signal.aborted) return
      await check(stop.signal).catch(() => undefined)
    }
  }
  void loop()
  return {
    [Symbol.dispose]: () => {
      stop.abort()
    },
  }
}
