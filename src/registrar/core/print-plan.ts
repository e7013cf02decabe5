/** A plan in words, for DRY_RUN. */
import { hostPort } from './desired.ts'
import { planSize, type Plan } from './plan.ts'
import type { ServiceRecord } from './service.ts'

export type PlanFormat = 'text' | 'json'

/** A plan as it is printed: text for people, or one line of JSON. Ends with a line break. */
export function printPlan(plan: Plan, format: PlanFormat): string {
  const sorted = sortPlan(plan)
  return format === 'json' ? `${JSON.stringify(planJson(sorted))}\n` : planText(sorted)
}

/** By ID, so that equal plans print equally. */
function sortPlan(plan: Plan): Plan {
  const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1)
  const byService = (a: { service: ServiceRecord }, b: { service: ServiceRecord }): number =>
    byId(a.service, b.service)
  return {
    register: plan.register.toSorted(byId),
    update: plan.update.toSorted(byService),
    deregister: plan.deregister.toSorted(byId),
    held: plan.held.map((held) => ({ ...held, services: held.services.toSorted(byId) })),
    deferred: plan.deferred.toSorted(byService),
    conflicts: plan.conflicts.toSorted(byService),
  }
}

/** The JSON form of a plan. Field names are stable. */
export interface PlanJson {
  readonly register: readonly ServiceRecord[]
  readonly update: readonly (ServiceRecord & { readonly changed: readonly string[] })[]
  readonly deregister: readonly string[]
  readonly held: readonly {
    readonly kind: string
    readonly ids: readonly string[]
    readonly reason: string
  }[]
  readonly deferred: readonly string[]
  readonly conflicts: readonly { readonly id: string; readonly owner: string }[]
}

function planJson(plan: Plan): PlanJson {
  return {
    register: plan.register,
    update: plan.update.map(({ service, changed }) => ({ ...service, changed })),
    deregister: plan.deregister.map(({ id }) => id),
    held: plan.held.map(({ kind, services, reason }) => ({
      kind,
      ids: services.map(({ id }) => id),
      reason,
    })),
    deferred: plan.deferred.map(({ service }) => service.id),
    conflicts: plan.conflicts.map(({ service, owner }) => ({ id: service.id, owner })),
  }
}

function planText(plan: Plan): string {
  const { register, update, deregister, held, deferred, conflicts } = plan
  const lines = [
    planSize(plan) === 0
      ? 'Nothing to change.'
      : `${register.length} to register, ${update.length} to update, ${deregister.length} to deregister.`,
    ...register.map((service) => `  + ${describe(service)}`),
    ...update.map(({ service, changed }) => `  ~ ${describe(service)}: ${changed.join(', ')}`),
    ...deregister.map((service) => `  - ${describe(service)}`),
  ]
  for (const { kind, services, reason } of held) {
    lines.push(`${services.length} removals of ${kind}s are held: ${reason}.`)
    lines.push(...services.map((service) => `  ! ${describe(service)}`))
  }
  if (deferred.length > 0) {
    lines.push(`${deferred.length} changes of readiness wait for their turn.`)
  }
  for (const { service, owner } of conflicts) {
    const whose = owner === '' ? 'something else' : `the cluster ${JSON.stringify(owner)}`
    lines.push(`${service.id} is left alone: the ID belongs to ${whose}.`)
  }
  return `${lines.join('\n')}\n`
}

function describe({ id, name, address, port }: ServiceRecord): string {
  const where = `${id} at ${hostPort(address, port)}`
  return name === id ? where : `${where} as ${name}`
}
