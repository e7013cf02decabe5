/** Counts below this are told apart by one array; above it there are few. */
const small = 1_024

/** Finds which of many counts are the highest, without sorting them all: nearly all counts of connections are small. */
export class CountThreshold {
  readonly #seen = new Uint32Array(small)
  readonly #large: number[] = []

  add(count: number): void {
    if (count < small) this.#seen[count] = (this.#seen[count] ?? 0) + 1
    else this.#large.push(count)
  }

  /**
   * What the `keep` highest counts have in common.
   *
   * @param keep at most as many as were added
   * @returns all that are above `least` are among them, and `ties` of those that equal it
   */
  of(keep: number): { least: number; ties: number } {
    if (keep === 0) return { least: Infinity, ties: 0 }
    const large = this.#large.sort((one, other) => other - one)
    const last = large[keep - 1]
    if (last !== undefined) return { least: last, ties: keep - large.indexOf(last) }
    let left = keep - large.length
    for (let count = small - 1; count >= 0; count -= 1) {
      const seen = this.#seen[count] ?? 0
      if (seen >= left) return { least: count, ties: left }
      left -= seen
    }
    return { least: 0, ties: left }
  }
}
