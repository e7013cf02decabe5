import { expect, it } from 'vitest'
import { ActualSet } from '../../../src/registrar/actual-set.ts'
import type { Operation, OperationResult } from '../../../src/registrar/consul/registry.ts'
import { DesiredSet } from '../../../src/registrar/core/desired-set.ts'
import type { Plan } from '../../../src/registrar/core/plan.ts'
import { applyPlan } from '../../../src/registrar/pass.ts'
import { service } from '../../support/records.ts'

const wanted = [service('pod--a--new'), service('pod--a--moved', { port: 2 })]
const gone = [service('pod--a--gone'), service('pod--a--back')]

/** Applies a plan of all kinds of operations; gives what Consul is told, call by call. */
async function calls(result: (operation: Operation) => OperationResult): Promise<string[][]> {
  const desired = new DesiredSet()
  // One of those that were to be removed is wanted again since the plan was made.
  const now = [...wanted, service('pod--a--back')]
  for (const one of now) desired.set(one.id, one.id, { services: [one], notes: [], droppedMeta: 0 })
  const actual = new ActualSet('c1')
  for (const one of [service('pod--a--moved'), ...gone]) actual.set(one)
  const plan: Plan = {
    register: wanted.slice(0, 1),
    update: wanted.slice(1).map((moved) => ({ service: moved, changed: ['port'] })),
    deregister: gone,
    ...{ held: [], deferred: [], conflicts: [] },
  }
  const told: string[][] = []
  const registry = {
    apply: (operations: readonly Operation[], onResult: (one: OperationResult) => void) => {
      told.push(operations.map(({ type, service: { id } }) => `${type} ${id}`))
      for (const operation of operations) onResult(result(operation))
      return Promise.resolve()
    },
  }
  const signal = new AbortController().signal
  await applyPlan(plan, { registry, view: { desired }, actual, onResult: () => undefined, signal })
  return told
}

const upserts = ['register pod--a--new', 'update pod--a--moved']

it('what is registered and updated comes first, then what is removed and was not wanted again since', async () => {
  expect(await calls((operation) => ({ operation, ok: true }))).toEqual([
    upserts,
    ['deregister pod--a--gone'],
  ])
})

it('nothing is removed when a registration did not reach Consul', async () => {
  const failing = (operation: Operation): OperationResult => ({
    ...{ operation, ok: false, error: 'no answer' },
    refused: false,
  })
  expect(await calls(failing)).toEqual([upserts])
})

it('what Consul will not take does not hold up the removals', async () => {
  const refusing = (operation: Operation): OperationResult => ({
    ...{ operation, ok: false, error: 'bad' },
    refused: true,
  })
  expect(await calls(refusing)).toEqual([upserts, ['deregister pod--a--gone']])
})
