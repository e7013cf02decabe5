/** Lets the event loop serve what is waiting: requests, timers, answers. */
export function yieldToLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
