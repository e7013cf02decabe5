import { describe, expect, test } from 'vitest'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { waitFor } from '../../../lab/wait.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import { KubernetesClient } from '../../../src/kubernetes/client.ts'
import { loadClusterConfig } from '../../../src/kubernetes/cluster-config.ts'
import { LeaseElection } from '../../../src/kubernetes/lease.ts'

const durationMs = 6_000
const renewWithinMs = 3_000

/** Takes part as `identity`, faster than usual. */
async function candidate(
  kubernetes: SimulatedKubernetes,
  identity: string,
  owned: AsyncDisposableStack,
  log = silentLogger,
) {
  const config = loadClusterConfig({ kubeconfig: await kubernetes.kubeconfig() })
  const client = owned.use(new KubernetesClient(config))
  const lease = { namespace: 'podsonar', name: 'podsonar-registrar' }
  const times = { durationMs, renewWithinMs, retryMs: 100 }
  return owned.use(LeaseElection.start({ client, ...lease, identity, log, ...times }))
}

/** Watches, for as long as it is not disposed of, that there are never two leaders. */
function neverTwo(...candidates: readonly LeaseElection[]) {
  let worst = 0
  const look = (): void => {
    worst = Math.max(worst, candidates.filter(({ term }) => term !== undefined).length)
  }
  const timer = setInterval(look, 1)
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      look()
      expect(worst).toBe(1)
    },
  }
}

const leads = (one: LeaseElection) =>
  waitFor('leadership', () => one.term !== undefined, { everyMs: 10, timeoutMs: 20_000 })
const path = '/apis/coordination.k8s.io/v1/namespaces/podsonar/leases'

describe('the election of a leader', () => {
  test('has one, and another at once when that one stops', async () => {
    await using owned = new AsyncDisposableStack()
    const kubernetes = owned.use(await SimulatedKubernetes.start())
    const said: string[] = []
    const note =
      (level: string) =>
      ({ event }: { event: string }) =>
        void said.push(`${level} ${event}`)
    const log = { ...silentLogger, info: note('info'), warn: note('warn'), error: note('error') }
    const first = await candidate(kubernetes, 'first', owned, log)
    await leads(first)
    const second = await candidate(kubernetes, 'second', owned)
    using _ = neverTwo(first, second)
    const term = first.term
    await waitFor('the second to see it', () => second.holder === 'first')
    const before = performance.now()
    await first[Symbol.asyncDispose]()
    expect(term?.aborted).toBe(true)
    // A stop that was asked for is no reason to wake anybody.
    expect(said).toEqual(['info leading', 'info not_leading'])
    await leads(second)
    expect(performance.now() - before).toBeLessThan(durationMs)
  })

  test('keeps a leader through more than the duration of its lease', async () => {
    await using owned = new AsyncDisposableStack()
    const kubernetes = owned.use(await SimulatedKubernetes.start({ tls: false }))
    const one = await candidate(kubernetes, 'one', owned)
    await leads(one)
    const { term } = one
    const renewals = kubernetes.requests('update').length + durationMs / 100 + 10
    await waitFor('renewals for longer than that', () => kubernetes.requests('update').length >= renewals)
    expect(one.term).toBe(term)
    expect(term?.aborted).toBe(false)
    // It does not read what nobody else changes.
    expect(kubernetes.requests('get').length).toBe(1)
  })

  test.each(['refuses connections', 'does not answer', 'refuses every update'])(
    'stops a leader before its lease ends when the API server %s',
    async (fault) => {
      await using owned = new AsyncDisposableStack()
      const kubernetes = owned.use(await SimulatedKubernetes.start({ tls: false }))
      const one = await candidate(kubernetes, 'one', owned)
      const two = await candidate(kubernetes, 'two', owned)
      using _ = neverTwo(one, two)
      await waitFor('a leader', () => one.term ?? two.term)
      const leader = one.term === undefined ? two : one
      const ended = Promise.withResolvers<number>()
      leader.term?.addEventListener('abort', () => {
        ended.resolve(performance.now())
      })
      if (fault === 'refuses connections') await kubernetes.leave()
      else if (fault === 'does not answer') kubernetes.freeze()
      else kubernetes.faults.arm({ kind: 'status', status: 500 }, { verb: 'update', times: 1e9 })
      const faultAt = performance.now()
      const lasted = (await ended.promise) - faultAt
      expect(lasted).toBeLessThan(durationMs)
      await waitFor('the problem to be told', () => leader.problem)

      if (fault === 'refuses connections') await kubernetes.arrive()
      kubernetes.thaw()
      kubernetes.faults.clear()
      await waitFor('a leader again', () => one.term ?? two.term)
      await waitFor('no problem', () => (one.problem ?? two.problem) === undefined)
    },
  )

  test('lets only one take a lease that was left behind, after it stood still for its duration', async () => {
    await using owned = new AsyncDisposableStack()
    const kubernetes = owned.use(await SimulatedKubernetes.start({ tls: false }))
    // Its times are far in the future and in the past: they say nothing.
    const renewTime = '2099-01-01T00:00:00.000000Z'
    const spec = { holderIdentity: 'dead', leaseDurationSeconds: 2, acquireTime: renewTime, renewTime }
    const created = await fetch(kubernetes.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${kubernetes.api.token}` },
      body: JSON.stringify({ metadata: { name: 'podsonar-registrar' }, spec }),
    })
    expect(created.status).toBe(201)
    const before = performance.now()
    const candidates = [
      await candidate(kubernetes, 'a', owned),
      await candidate(kubernetes, 'b', owned),
      await candidate(kubernetes, 'c', owned),
    ]
    using _ = neverTwo(...candidates)
    await waitFor('a leader', () => candidates.find(({ term }) => term !== undefined), { everyMs: 10 })
    const took = performance.now() - before
    expect(took).toBeGreaterThan(2_000)
    expect(took).toBeLessThan(durationMs)
    const transitions = JSON.parse(
      kubernetes.api.stores.leases.get('podsonar', 'podsonar-registrar')?.render().toString() ?? '{}',
    ) as { spec: { leaseTransitions: number } }
    expect(transitions.spec.leaseTransitions).toBe(1)
  })

  test('says which right is missing', async () => {
    await using owned = new AsyncDisposableStack()
    const kubernetes = owned.use(await SimulatedKubernetes.start({ tls: false }))
    kubernetes.faults.arm({ kind: 'status', status: 403 }, { resource: 'leases', times: 1e9 })
    const one = await candidate(kubernetes, 'one', owned)
    const problem = await waitFor('the problem', () => one.problem)
    expect(problem).toContain('cannot get resource "leases" in API group "coordination.k8s.io"')
    expect(one.term).toBeUndefined()
  })
})
