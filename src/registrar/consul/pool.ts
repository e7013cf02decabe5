/**
 * Works on items with at most `limit` at a time, in their order. Stops taking new ones when `signal` aborts; resolves when
 * those begun have ended.
 *
 * @param work must not throw: what goes wrong with an item is its own matter
 */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items.values()
  const worker = async (): Promise<void> => {
    for (const item of iterator) {
      if (signal.aborted) return
      await work(item)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
}
