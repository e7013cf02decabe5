/**
 * Consul's limits on service metadata: at most 64 pairs, keys of at most 128 characters of `[A-Za-z0-9_-]`, values of
 * at most 512 bytes (structs.ValidateServiceMetadata in Consul). One pair beyond them makes Consul refuse the whole service,
 * so such pairs are left out here.
 */
import type { ServiceRecord } from './service.ts'

const maxPairs = 64
const maxKeyLength = 128
const maxValueBytes = 512

/** Collects metadata in the order of its importance; what does not fit is left out and counted. */
export class MetaBuilder {
  readonly meta: Record<string, string> = {}
  #pairs = 0
  #dropped = 0

  /** Adds a pair whose key and value are known to fit, or which the service cannot do without. */
  set(key: string, value: string): void {
    if (!(key in this.meta)) this.#pairs += 1
    this.meta[key] = value
  }

  /** Adds a pair if it fits and its key is free. */
  offer(key: string, value: string): void {
    const fits = this.#pairs < maxPairs && isKey(key) && !(key in this.meta) && fitsValue(value)
    if (fits) this.set(key, value)
    else this.#dropped += 1
  }

  /** How many pairs were left out. */
  get dropped(): number {
    return this.#dropped
  }
}

/** Whether Consul takes `value` as a metadata value. */
export function fitsValue(value: string): boolean {
  // A character is at most 3 bytes, so most values need no counting.
  return value.length * 3 <= maxValueBytes || Buffer.byteLength(value) <= maxValueBytes
}

/** A Kubernetes label or annotation name as a metadata key: `app.kubernetes.io/name` → `app_kubernetes_io_name`. */
export function sanitiseKey(name: string): string {
  return name.replaceAll(/[^\w]/g, '_')
}

/**
 * Why Consul would refuse a service, told before it is sent: one bad service in a transaction holds up all the others.
 * Undefined where it would take it. (A port beyond 65535 it even takes, and serves to everybody.)
 */
export function invalidService({ id, name, port, meta }: ServiceRecord): string | undefined {
  if (id === '') return 'its ID is empty'
  if (name === '') return 'its name is empty'
  if (!Number.isInteger(port) || port < 0 || port > 65_535) return `its port is ${port}, expected 0 to 65535`
  let pairs = 0
  for (const key in meta) {
    pairs += 1
    if (!isKey(key)) return `its metadata key ${JSON.stringify(key)} is not one that Consul takes`
    if (!fitsValue(meta[key] ?? '')) return `its metadata value ${key} is longer than ${maxValueBytes} bytes`
  }
  return pairs > maxPairs ? `it has ${pairs} metadata pairs, expected at most ${maxPairs}` : undefined
}

function isKey(key: string): boolean {
  return key.length <= maxKeyLength && /^[\w-]+$/.test(key)
}
