/**
 * A running pod whose sandbox is made anew, or a node whose kubelet starts, may have no address for a moment. As long as the object
 * is there that is no reason to forget it: its services stay for a while, unless somebody else has their address. Pure.
 */
import type { ServiceRecord } from './service.ts'

/** How long the services of an object without an address stay, in milliseconds. */
const addressGraceMs = 30_000

/** The reason of a removal that waits for an address. */
export const addressGraceReason = `without an address for less than ${addressGraceMs / 1_000} s`

/**
 * Until when a service that is no longer wanted stays, in monotonic milliseconds; undefined: its object has an address, or is gone.
 *
 * @param addressless since when objects have had no address, by UID of pods and name of nodes. A pod that took the name of
 *   another has a UID of its own: what the other one left does not stay
 */
export function graceEnds(
  { address, meta }: ServiceRecord,
  addressless: ReadonlyMap<string, number>,
): number | undefined {
  if (addressless.size === 0 || address === '') return undefined
  const since = addressless.get(meta['pod_uid'] ?? meta['node_name'] ?? '')
  return since === undefined ? undefined : since + addressGraceMs
}

/** The address of the pod or node itself, whatever way leads there. */
export function ownAddress({ address, meta }: ServiceRecord): string {
  return meta['pod_ip'] ?? meta['metrics_ip'] ?? address
}
