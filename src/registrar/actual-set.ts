import { isOurs } from './core/decide.ts'
import { kindOf, managedBy, type ServiceKind, type ServiceRecord } from './core/service.ts'

/** What Consul holds, as far as is known: the last whole reading, and what was written since. */
export class ActualSet {
  readonly #clusterName: string
  readonly #services = new Map<string, ServiceRecord>()
  readonly #registered: Record<ServiceKind, number> = { pod: 0, node: 0 }
  /** How many services of podsonar each other cluster has here. */
  readonly #others = new Map<string, number>()

  constructor(clusterName: string) {
    this.#clusterName = clusterName
  }

  /** By ID; those of other clusters under an ID of our form are among them. */
  get services(): ReadonlyMap<string, ServiceRecord> {
    return this.#services
  }

  /** How many of each kind are ours. */
  get registered(): Readonly<Record<ServiceKind, number>> {
    return this.#registered
  }

  /** The names of other clusters whose services podsonar registered under IDs of our form. */
  get otherClusters(): ReadonlySet<string> {
    return new Set(this.#others.keys())
  }

  get(id: string): ServiceRecord | undefined {
    return this.#services.get(id)
  }

  set(service: ServiceRecord): void {
    this.delete(service.id)
    this.#services.set(service.id, service)
    this.#count(service, 1)
  }

  delete(id: string): void {
    const old = this.#services.get(id)
    if (old === undefined) return
    this.#services.delete(id)
    this.#count(old, -1)
  }

  #count(service: ServiceRecord, by: 1 | -1): void {
    if (isOurs(service, this.#clusterName)) {
      const kind = kindOf(service.id)
      if (kind !== undefined) this.#registered[kind] += by
      return
    }
    const { cluster_name: name, managed_by: manager } = service.meta
    if (name === undefined || manager !== managedBy) return
    const count = (this.#others.get(name) ?? 0) + by
    if (count === 0) this.#others.delete(name)
    else this.#others.set(name, count)
  }
}
