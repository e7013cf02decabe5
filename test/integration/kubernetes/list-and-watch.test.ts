import { describe, expect, test } from 'vitest'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { waitFor } from '../../../lab/wait.ts'
import { Following } from './following.ts'

const watching = (kubernetes: SimulatedKubernetes, count = 1) =>
  waitFor('the watch to be open', () => kubernetes.api.watches.count === count)

describe('following an API server', () => {
  test('lists in pages over TLS, then sees pods come, change and go', async () => {
    await using kubernetes = await SimulatedKubernetes.start()
    for (let index = 0; index < 600; index += 1) kubernetes.addPod({ name: `p-${index}` })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    expect(following.source.objects.size).toBe(600)
    expect(kubernetes.requests('list').length).toBe(3)
    expect(following.source.listedAtMs).toBeGreaterThan(Date.now() - 60_000)

    following.changes.length = 0
    kubernetes.addPod({ name: 'new', ip: undefined, phase: 'Pending', ready: false })
    kubernetes.updatePod('default', 'new', { ip: '10.9.9.9', phase: 'Running', ready: true })
    kubernetes.deletePod('default', 'p-0')
    await waitFor('three changes', () => following.changes.length === 3)
    expect(following.told).toEqual(['added new', 'updated new', 'removed p-0'])
    expect(following.changes[1]?.object).toMatchObject({ ip: '10.9.9.9', ready: true })
    expect(kubernetes.requests('list').length).toBe(3)
  })

  test('sees a pod that was created again under its name, though no deletion was told', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    const old = kubernetes.addPod({ name: 'web-0' })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    following.changes.length = 0
    kubernetes.addPod({ name: 'web-0', ip: '10.9.9.9' })
    await waitFor('the new one', () => following.changes.length === 2)
    expect(following.changes.map(({ type, object }) => `${type} ${object.ip ?? ''}`)).toEqual([
      `removed ${old.ip ?? ''}`,
      'added 10.9.9.9',
    ])
  })

  test('goes on after the server ended or reset the watch, without another list', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    kubernetes.addPod({ name: 'a' })
    await using following = await Following.start(kubernetes)
    for (const reset of [false, true]) {
      await watching(kubernetes)
      kubernetes.closeWatches({ reset })
      const name = reset ? 'after-reset' : 'after-end'
      kubernetes.addPod({ name })
      await waitFor(name, () => following.names.includes(name))
    }
    expect(kubernetes.requests('list').length).toBe(1)
    expect(following.source.counts.watches).toBe(3)
    expect(following.problems).toEqual([])
  })

  test('opens a watch again that went silent, and misses nothing', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ bookmarkMs: 100 })
    kubernetes.addPod({ name: 'a' })
    await using following = await Following.start(kubernetes, { silenceMs: 2_500 })
    await watching(kubernetes)
    kubernetes.silenceWatches()
    kubernetes.deletePod('default', 'a')
    await waitFor('the deletion', () => following.names.length === 0)
    expect(kubernetes.requests('list').length).toBe(1)
    // Bookmarks keep the next one alive.
    await watching(kubernetes)
    const { watches, events } = following.source.counts
    await waitFor('bookmarks for longer than that', () => following.source.counts.events >= events + 35)
    expect(following.source.counts.watches).toBe(watches)
  })

  test('lists again when its version is too old, and finds what went meanwhile', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false, bookmarkMs: 600_000 })
    for (const name of ['a', 'b']) kubernetes.addPod({ name })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    kubernetes.faults.arm({ kind: 'status', status: 500 }, { verb: 'watch' })
    kubernetes.closeWatches()
    kubernetes.deletePod('default', 'a')
    kubernetes.addPod({ name: 'c' })
    kubernetes.compact()
    await waitFor('b and c', () => following.names.join() === 'b,c')
    expect(following.told.slice(-2)).toEqual(['added c', 'removed a'])
  })

  test('does not ask in a hot loop when the server refuses every watch as too old', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    kubernetes.faults.arm({ kind: 'status', status: 410 }, { verb: 'watch', times: Number.POSITIVE_INFINITY })
    await using following = await Following.start(kubernetes, { retryMs: 200 })
    await waitFor('four watches', () => kubernetes.requests('watch').length >= 4)
    const [first, , , fourth] = kubernetes.requests('watch')
    // 100 to 200 ms, 200 to 400, 400 to 800
    expect((fourth?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(650)
    expect(following.source.listedAtMs).toBeDefined()
  })

  test('removes nothing on a list that broke off, failed or was refused', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    for (let index = 0; index < 300; index += 1) kubernetes.addPod({ name: `p-${index}` })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    const { listedAtMs } = following.source
    const { signal } = new AbortController()
    for (const fault of [
      { kind: 'cut' } as const,
      { kind: 'status', status: 500 } as const,
      { kind: 'status', status: 403 } as const,
    ]) {
      // The first page is good, the second one is not.
      kubernetes.faults.arm(fault, { verb: 'list', after: 1 })
      await expect(following.source.relist(signal)).rejects.toThrow('Cannot list pods')
    }
    expect(following.source.objects.size).toBe(300)
    expect(following.source.listedAtMs).toBe(listedAtMs)
    expect(following.told.some((change) => change.startsWith('removed'))).toBe(false)
    await following.source.relist(signal)
    expect(following.source.counts).toMatchObject({ lists: 2, listFailures: 3 })
  })

  test('does not take a list as whole that ends before what it announced', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    for (let index = 0; index < 300; index += 1) kubernetes.addPod({ name: `p-${index}` })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    kubernetes.shortenLists(280)
    const relisted = following.source.relist(new AbortController().signal)
    await expect(relisted).rejects.toThrow('got 280 objects, expected the 300 that the first page announced')
    expect(following.source.objects.size).toBe(300)
  })

  test('begins a list again whose continue token expired', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    for (let index = 0; index < 300; index += 1) kubernetes.addPod({ name: `p-${index}` })
    kubernetes.faults.arm({ kind: 'status', status: 410 }, { verb: 'list', after: 1 })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    expect(following.source.objects.size).toBe(300)
    expect(kubernetes.requests('list').map(({ status }) => status)).toEqual([200, 410, 200, 200])
  })

  test('lists again beside the watch when asked to, and heals what was missed', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    for (const name of ['a', 'b']) kubernetes.addPod({ name })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    kubernetes.silenceWatches()
    kubernetes.deletePod('default', 'a')
    kubernetes.addPod({ name: 'c' })
    await following.source.relist(new AbortController().signal)
    expect(following.names).toEqual(['b', 'c'])
  })

  test('waits as long as Retry-After says', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    kubernetes.faults.arm({ kind: 'status', status: 429, retryAfterSeconds: 1 }, { verb: 'list' })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    const [refused, answered] = kubernetes.requests('list')
    expect((answered?.atMs ?? 0) - (refused?.atMs ?? 0)).toBeGreaterThan(990)
    expect(following.problems[0]).toMatch(/^Cannot list pods: the API server answers 429: Too many requests/)
  })

  test('keeps what it holds while the API server is away, and says why it may be old', async () => {
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addPod({ name: 'a' })
    await using following = await Following.start(kubernetes)
    await watching(kubernetes)
    await kubernetes.leave()
    await waitFor('the problem', () => following.source.problem?.includes('ECONNREFUSED'))
    expect(following.names).toEqual(['a'])
    kubernetes.deletePod('default', 'a')
    await kubernetes.arrive()
    await waitFor('the deletion', () => following.names.length === 0)
    expect(following.source.problem).toBeUndefined()
  })

  test('says which verb and resource is forbidden, and recovers when it is granted', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    kubernetes.addPod({ name: 'a' })
    kubernetes.faults.arm({ kind: 'status', status: 403 }, { verb: 'list', times: Number.POSITIVE_INFINITY })
    await using following = await Following.start(kubernetes)
    await waitFor('the problem', () => following.source.problem)
    expect(following.source.problem).toContain('cannot list resource "pods"')
    expect(following.source.listedAtMs).toBeUndefined()
    kubernetes.faults.clear()
    await waitFor('a', () => following.names.length === 1)
  })

  test('lists every so often where watching is forbidden, with a warning', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    kubernetes.addPod({ name: 'a' })
    kubernetes.faults.arm({ kind: 'status', status: 403 }, { verb: 'watch', times: Number.POSITIVE_INFINITY })
    await using following = await Following.start(kubernetes, { pollMs: 300 })
    await waitFor('the first list', () => following.names.join() === 'a')
    kubernetes.deletePod('default', 'a')
    await waitFor('the deletion', () => following.names.length === 0)
    expect(following.source.problem).toBeUndefined()
    expect(following.log.find(({ event }) => event === 'watch_forbidden')?.message).toContain('every 0.3 s')
    await waitFor('four lists', () => kubernetes.requests('list').length >= 4)
    const times = kubernetes.requests('list').map(({ atMs }) => atMs)
    expect((times[3] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(850)
  })

  test('keeps to a namespace and selectors', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ tls: false })
    kubernetes.addPod({ namespace: 'x', name: 'yes', labels: { app: 'web' } })
    kubernetes.addPod({ namespace: 'x', name: 'no' })
    kubernetes.addPod({ namespace: 'y', name: 'elsewhere', labels: { app: 'web' } })
    await using following = await Following.start(kubernetes, { namespace: 'x', labelSelector: 'app=web' })
    await watching(kubernetes)
    expect(following.names).toEqual(['yes'])
    kubernetes.updatePod('x', 'yes', { labels: {} })
    kubernetes.updatePod('x', 'no', { labels: { app: 'web' } })
    await waitFor('the other one', () => following.names.join() === 'no')
  })

  test('gives up a list on which nothing comes any more when it is closed', async () => {
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.freeze()
    const following = await Following.start(kubernetes)
    await waitFor('the request', () => kubernetes.requests('list').length === 1)
    const before = performance.now()
    await following[Symbol.asyncDispose]()
    expect(performance.now() - before).toBeLessThan(2_000)
  })
})
