/**
 * Consul's limits on service metadata: at most 64 pairs, keys of at most 128 characters of `[A-Za-z0-9_-]`, values of
 * at most 512 bytes (structs.ValidateServiceMetadata in Consul). One pair beyond them makes Consul refuse the whole service,
 * so such pairs are left out here.
 */
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
    const fits =
      this.#pairs < maxPairs &&
      key.length <= maxKeyLength &&
      /^[\w-]+$/.test(key) &&
      !(key in this.meta) &&
      fitsValue(value)
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
