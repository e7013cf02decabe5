/**
 * Memory for one step of a computation that is made again and again. Arrays of a few megabytes that are made anew at each
 * scrape would stay until the garbage collector comes, which it does when tens of megabytes have gathered.
 */
export class Scratch {
  #words = new Int32Array(0)

  /**
   * At least `length` numbers, with whatever was in them; until the next call.
   *
   * After a time with many more, the memory shrinks to what is needed.
   */
  take(length: number): Int32Array {
    if (this.#words.length < length || this.#words.length > 8 * Math.max(length, smallest))
      this.#words = new Int32Array(Math.ceil(Math.max(length, smallest) * 1.25))
    return this.#words
  }
}

/** What is kept whether it is needed or not. */
const smallest = 4_096
