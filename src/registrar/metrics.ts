import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { OperationResult } from './consul/registry.ts'
import { kindOf, type ServiceKind } from './core/service.ts'
import type { RegistrarStatus } from './status.ts'

/** What the registrar counts as it goes. */
export interface RegistrarMetrics {
  /** How an operation ended. */
  applied(result: OperationResult): void
  /** A pass over cluster and Consul. */
  pass(full: boolean, outcome: 'ok' | 'error', seconds: number): void
  planned(sizes: Readonly<Record<'register' | 'update' | 'deregister', number>>): void
  /** From the arrival of a change to its being in Consul. */
  changeApplied(seconds: number): void
  lossNoticed(): void
  /** How many services of ours are elsewhere in Consul, where they cannot be removed from here. */
  leftovers(services: number): void
}

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** The registrar's own metrics. Gauges are read off `status` when they are scraped. */
export function registrarMetrics(
  registry: Registry,
  status: () => RegistrarStatus | undefined,
): RegistrarMetrics {
  const registers = [registry]
  stateGauges(registry, status)

  const operations = new Counter({
    name: 'podsonar_registrar_operations_total',
    help: 'Writes to Consul, by what they did and how they ended: ok, refused (Consul will not take it) or failed.',
    labelNames: ['operation', 'kind', 'result'],
    registers,
  })
  const passes = new Counter({
    name: 'podsonar_registrar_syncs_total',
    help: 'Passes over cluster and Consul: full ones read Consul whole, incremental ones follow changes of the cluster.',
    labelNames: ['scope', 'result'],
    registers,
  })
  const duration = new Histogram({
    name: 'podsonar_registrar_sync_duration_seconds',
    help: 'How long passes took.',
    labelNames: ['scope'],
    buckets: seconds,
    registers,
  })
  const latency = new Histogram({
    name: 'podsonar_registrar_change_latency_seconds',
    help: 'From the arrival of a change of the cluster to its being in Consul.',
    buckets: seconds,
    registers,
  })
  const plan = new Histogram({
    name: 'podsonar_registrar_plan_operations',
    help: 'How many writes the plans of passes asked for, by operation; passes without any are left out.',
    labelNames: ['operation'],
    buckets: [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000],
    registers,
  })
  const losses = new Counter({
    name: 'podsonar_registrar_losses_total',
    help: 'How often Consul was found to have lost the services.',
    registers,
  })

  const leftovers = new Gauge({
    name: 'podsonar_registrar_leftover_services',
    help: 'Services of this cluster on Consul nodes that this registrar cannot change.',
    registers,
  })

  return {
    applied: ({ operation, ...outcome }) => {
      const kind = kindOf(operation.service.id) ?? 'other'
      const result = outcome.ok ? 'ok' : outcome.refused ? 'refused' : 'failed'
      operations.inc({ operation: operation.type, kind, result })
    },
    pass: (full, result, took) => {
      const scope = full ? 'full' : 'incremental'
      passes.inc({ scope, result })
      duration.observe({ scope }, took)
    },
    planned: (sizes) => {
      for (const [operation, size] of Object.entries(sizes)) if (size > 0) plan.observe({ operation }, size)
    },
    changeApplied: (took) => {
      latency.observe(took)
    },
    lossNoticed: () => {
      losses.inc()
    },
    leftovers: (services) => {
      leftovers.set(services)
    },
  }
}

function stateGauges(registry: Registry, status: () => RegistrarStatus | undefined): void {
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    collect: (now: RegistrarStatus, set: (labels: Partial<Record<L, string>>, value: number) => void) => void,
  ): void => {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        this.reset()
        const now = status()
        if (now === undefined) return
        collect(now, (labels, value) => {
          this.set(labels as Partial<Record<L, string | number>>, value)
        })
      },
    })
  }
  gauge('podsonar_registrar_desired_services', 'Services that should be in Consul.', ['kind'], (now, set) => {
    const counts = countKinds(now.desired.keys())
    for (const [kind, count] of Object.entries(counts)) set({ kind }, count)
  })
  gauge(
    'podsonar_registrar_registered_services',
    'Services of this cluster that are in Consul.',
    ['kind'],
    (now, set) => {
      for (const [kind, count] of Object.entries(now.registered)) set({ kind }, count)
    },
  )
  gauge(
    'podsonar_registrar_skipped_objects',
    'Annotated pods and nodes that are not registered, by reason.',
    ['reason'],
    (now, set) => {
      const counts = new Map<string, number>()
      for (const { reason } of now.skipped()) counts.set(reason, (counts.get(reason) ?? 0) + 1)
      if (now.conflicts.length > 0)
        counts.set('id_conflict', (counts.get('id_conflict') ?? 0) + now.conflicts.length)
      for (const [reason, count] of counts) set({ reason }, count)
    },
  )
  gauge(
    'podsonar_registrar_held_removals',
    'Removals that are held until they are beyond doubt.',
    ['kind'],
    (now, set) => {
      const counts: Record<ServiceKind, number> = { pod: 0, node: 0 }
      for (const { kind, services } of now.held) counts[kind] += services.length
      for (const kind of ['pod', 'node'] satisfies ServiceKind[]) set({ kind }, counts[kind])
    },
  )
  gauge('podsonar_registrar_refused_services', 'Services that Consul will not take.', [], (now, set) => {
    set({}, now.refused.length)
  })
  gauge(
    'podsonar_registrar_dropped_meta_pairs',
    "Metadata pairs that are left out because they are beyond Consul's limits.",
    [],
    (now, set) => {
      set({}, now.droppedMeta)
    },
  )
  gauge(
    'podsonar_registrar_last_success_timestamp_seconds',
    'When the last full reconciliation succeeded.',
    [],
    (now, set) => {
      if (now.lastSuccess !== undefined) set({}, now.lastSuccess.getTime() / 1000)
    },
  )
  gauge('podsonar_registrar_leader', 'Whether this replica is the one that writes.', [], (now, set) => {
    set({}, now.leading ? 1 : 0)
  })
}

function countKinds(ids: Iterable<string>): Record<ServiceKind, number> {
  const counts = { pod: 0, node: 0 }
  for (const id of ids) {
    const kind = kindOf(id)
    if (kind !== undefined) counts[kind] += 1
  }
  return counts
}
