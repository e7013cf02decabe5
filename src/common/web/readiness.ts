/** Why a mode is not ready, one reason a part. Each part reports itself; ready means that no reason is left. */
export class Readiness {
  readonly #reasons = new Map<string, string>()
  readonly #notes = new Map<string, string>()

  /** `part` is not ready because of `reason`; undefined: it is. */
  set(part: string, reason: string | undefined): void {
    if (reason === undefined) this.#reasons.delete(part)
    else this.#reasons.set(part, reason)
  }

  /** Something that people should see at /readyz without making it unready; undefined: no longer. */
  note(part: string, text: string | undefined): void {
    if (text === undefined) this.#notes.delete(part)
    else this.#notes.set(part, text)
  }

  get ready(): boolean {
    return this.#reasons.size === 0
  }

  /** The body of /readyz. */
  toJSON(): { ready: boolean; reasons: Record<string, string>; notes: Record<string, string> } {
    return {
      ready: this.ready,
      reasons: Object.fromEntries(this.#reasons),
      notes: Object.fromEntries(this.#notes),
    }
  }
}
