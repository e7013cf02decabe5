/**
 * Splits items into the `keep` first ones by `compare` (in no particular order) and the rest. Takes n log keep steps:
 * the kept ones (or, if they are more, the rest) are a heap whose top is the last of them.
 */
export function keepHighest<T>(
  items: readonly T[],
  keep: number,
  compare: (one: T, other: T) => number,
): { kept: readonly T[]; rest: readonly T[] } {
  if (items.length <= keep) return { kept: items, rest: [] }
  if (keep === 0) return { kept: [], rest: items }
  // The fewer are in the heap, the less there is to compare.
  if (keep > items.length / 2) {
    const { kept, rest } = keepHighest(items, items.length - keep, (one, other) => compare(other, one))
    return { kept: rest, rest: kept }
  }
  const heap = items.slice(0, keep)
  for (let k = (keep >> 1) - 1; k >= 0; k -= 1) sink(heap, k, compare)
  const rest: T[] = []
  for (const item of items.slice(keep)) {
    const last = heap[0] as T
    if (compare(item, last) < 0) {
      heap[0] = item
      sink(heap, 0, compare)
      rest.push(last)
    } else {
      rest.push(item)
    }
  }
  return { kept: heap, rest }
}

function sink<T>(heap: T[], start: number, compare: (one: T, other: T) => number): void {
  const item = heap[start] as T
  let at = start
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && compare(heap[child + 1] as T, heap[child] as T) > 0) child += 1
    if (compare(heap[child] as T, item) <= 0) break
    heap[at] = heap[child] as T
    at = child
  }
  heap[at] = item
}
