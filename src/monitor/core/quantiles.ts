/** Quantiles of durations in bounded memory. */

/** Buckets for each doubling: a quantile is off by a twentieth at most. */
const perDoubling = 8
const buckets = 48 * perDoubling

export class Quantiles {
  readonly #counts = new Float64Array(buckets)
  #count = 0
  #sum = 0

  get count(): number {
    return this.#count
  }

  /** Of all durations, in seconds. */
  get sumSeconds(): number {
    return this.#sum / 1e9
  }

  /** @param weight how many durations it stands for */
  add(ns: number, weight = 1): void {
    const at = Math.min(buckets - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, ns)) * perDoubling)))
    this.#counts[at] = (this.#counts[at] ?? 0) + weight
    this.#count += weight
    this.#sum += Math.max(0, ns) * weight
  }

  /** Nanoseconds that `share` (0 to 1) of the durations do not exceed; undefined of none. */
  at(share: number): number | undefined {
    const wanted = share * this.#count
    let seen = 0
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count
      if (count > 0 && seen >= wanted) return 2 ** ((bucket + 0.5) / perDoubling)
    }
    return undefined
  }
}

/**
 * A quantile of counts in buckets, as Prometheus' histogram_quantile: within a bucket, evenly spread.
 *
 * @param bounds upper bounds, rising; one bucket more than these
 * @returns in the unit of `bounds`; the last bound for what is above it; undefined of none
 */
export function bucketQuantile(
  share: number,
  bounds: readonly number[],
  counts: ArrayLike<number>,
): number | undefined {
  let total = 0
  for (let index = 0; index < counts.length; index += 1) total += counts[index] ?? 0
  if (total === 0) return undefined
  const wanted = share * total
  let before = 0
  for (const [index, bound] of bounds.entries()) {
    const count = counts[index] ?? 0
    if (count > 0 && before + count >= wanted) {
      const lower = index === 0 ? 0 : (bounds[index - 1] ?? 0)
      return lower + ((bound - lower) * (wanted - before)) / count
    }
    before += count
  }
  return bounds.at(-1)
}
