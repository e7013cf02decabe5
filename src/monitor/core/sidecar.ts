/** How long a request is in the sidecar before it goes on to the service, as far as connections tell it. */
import type { ConnectionChange } from './connection-tracker.ts'
import { Quantiles } from './quantiles.ts'

/** Callers that wait at a time; of more, the oldest are forgotten. */
const maxWaiting = 10_000

/** Something that a change of a connection tells of the sidecar. */
export type SidecarSign =
  { readonly what: 'inside' | 'connect'; readonly ns: number } | { readonly reused: 'caller' | 'service' }

export class SidecarTimes {
  /** From a caller's connection to the sidecar to the sidecar's own to the service. */
  readonly inside = new Quantiles()
  /** From the sidecar's connect until the service's connection stands. */
  readonly connect = new Quantiles()
  /**
   * Connections of callers that ended without a new connection to the service, and connections to the service without a
   * new caller: what came over them went on over connections that were kept.
   */
  readonly reused = { caller: 0, service: 0 }
  /** When callers' connections stood that have not been matched, by socket, in order. */
  readonly #waiting = new Map<bigint, number>()

  /**
   * Takes in a change. A connect to the service is matched with the caller that has waited longest: which of several
   * callers it is for cannot be seen, but the sum of the times is the same whichever it is.
   */
  add(change: ConnectionChange): SidecarSign | undefined {
    const sign = this.#read(change)
    if (sign === undefined) return undefined
    if ('reused' in sign) this.reused[sign.reused] += 1
    else this[sign.what].add(sign.ns)
    return sign
  }

  #read({
    step,
    atNs,
    socket,
    connection: { leg, direction, beganNs },
  }: ConnectionChange): SidecarSign | undefined {
    if (leg === 'caller to sidecar') {
      if (step === 'accepted') this.#wait(socket, atNs)
      return step === 'closed' && this.#waiting.delete(socket) ? { reused: 'caller' } : undefined
    }
    if (leg !== 'sidecar to service' || direction !== 'outbound') return undefined
    if (step === 'connected' && beganNs !== undefined) return { what: 'connect', ns: atNs - beganNs }
    if (step !== 'connecting') return undefined
    const [first] = this.#waiting
    if (first === undefined) return { reused: 'service' }
    this.#waiting.delete(first[0])
    return { what: 'inside', ns: atNs - first[1] }
  }

  #wait(socket: bigint, atNs: number): void {
    const [oldest] = this.#waiting.size >= maxWaiting ? this.#waiting.keys() : []
    if (oldest !== undefined) this.#waiting.delete(oldest)
    this.#waiting.set(socket, atNs)
  }
}
