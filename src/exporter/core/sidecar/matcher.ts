/** How long a request is in the sidecar before it goes on to the service, as far as connections tell it. */
import type { ConnectionChange } from './connection-tracker.ts'

/** Callers that wait at a time; of more, the oldest are forgotten. */
const maxWaiting = 10_000
/** Callers that have waited longer are served over a connection that was kept, in nanoseconds. */
const maxWaitNs = 10e9

/**
 * Something that a change of a connection tells of the sidecar.
 *
 * - `inside`: from a caller's connection to the sidecar to the sidecar's own to the service.
 * - `connect`: from the sidecar's connect until the service's connection stands.
 * - `reused`: a connection of a caller that led to no new connection to the service, or one to the service without a new
 *   caller: what came over it went on over a connection that was kept.
 */
export type SidecarSign =
  { readonly what: 'inside' | 'connect'; readonly ns: number } | { readonly reused: 'caller' | 'service' }

export class SidecarMatcher {
  /** When callers' connections stood that have not been matched, by socket. */
  readonly #waiting = new Map<bigint, number>()
  /** Their sockets as they came, with some that wait no more. */
  #order: bigint[] = []

  /**
   * What a change tells. A connect to the service is matched with the caller that came last: which of several callers it is
   * for cannot be seen. Where each leads to a connect of its own, the sum of the times is the same whichever it is; where
   * some do not, because a connection is kept, those wait in vain and are not to be taken for a later one.
   */
  add({
    step,
    atNs,
    socket,
    connection: { leg, direction, beganNs },
  }: ConnectionChange): SidecarSign | undefined {
    if (step === 'closed' && this.#waiting.delete(socket)) return { reused: 'caller' }
    if (leg === 'caller to sidecar' && step === 'accepted') this.#wait(socket, atNs)
    if (leg !== 'sidecar to service' || direction !== 'outbound') return undefined
    if (step === 'connected' && beganNs !== undefined) return { what: 'connect', ns: atNs - beganNs }
    return step === 'connecting' ? this.#match(atNs) : undefined
  }

  #match(atNs: number): SidecarSign {
    for (let socket = this.#order.pop(); socket !== undefined; socket = this.#order.pop()) {
      const stoodNs = this.#waiting.get(socket)
      if (stoodNs === undefined) continue
      if (atNs - stoodNs > maxWaitNs) break
      this.#waiting.delete(socket)
      return { what: 'inside', ns: atNs - stoodNs }
    }
    // The others have waited longer still.
    this.#order = []
    return { reused: 'service' }
  }

  #wait(socket: bigint, atNs: number): void {
    const [oldest] = this.#waiting.size >= maxWaiting ? this.#waiting.keys() : []
    if (oldest !== undefined) this.#waiting.delete(oldest)
    if (this.#order.length >= 2 * maxWaiting) this.#order = [...this.#waiting.keys()]
    this.#waiting.set(socket, atNs)
    this.#order.push(socket)
  }
}
