import { expect, it } from 'vitest'
import { snapshotOf, type Container } from '../../../../src/exporter/core/containers.ts'
import {
  tcpHealthField as field,
  tcpHealthFields,
  type TcpHealthRows,
} from '../../../../src/exporter/core/decode-tcp-health.ts'
import { rttBuckets, type LiveTcp } from '../../../../src/exporter/core/live-tcp.ts'
import { SocketOwners } from '../../../../src/exporter/core/socket-owner.ts'
import { TcpHealthTotals } from '../../../../src/exporter/core/tcp-health.ts'

const host = { inode: 4_026_531_840, pid: 1 }
const podNamespace = 4_026_532_000

function container(id: string, pod: string, cgroupId: number, networkNamespace = podNamespace): Container {
  return {
    ...{ id, name: 'main', image: '', pid: cgroupId, networkNamespace, cgroupId },
    pod: { name: pod, namespace: 'default', uid: `uid-${pod}`, labels: {}, annotations: {} },
    cgroups: { unified: undefined, byController: new Map() },
  }
}

const ownersOf = (...containers: Container[]): SocketOwners => new SocketOwners(snapshotOf(containers, host))

type Row = readonly [cgroupId: number, namespace: number, connects: number]

function rowsOf(...rows: readonly Row[]): TcpHealthRows {
  const counters = new Float64Array(rows.length * tcpHealthFields)
  for (const [index, [, , connects]] of rows.entries()) counters[index * tcpHealthFields] = connects
  return {
    length: rows.length,
    cgroupId: Float64Array.from(rows, ([cgroupId]) => cgroupId),
    namespace: Uint32Array.from(rows, ([, namespace]) => namespace),
    counters,
  }
}

function liveOf(cgroupId: number, namespace: number, bytes: number): LiveTcp {
  return {
    length: 1,
    cgroupId: Float64Array.of(cgroupId),
    namespace: Uint32Array.of(namespace),
    bytesReceived: Float64Array.of(bytes),
    bytesAcked: Float64Array.of(bytes * 2),
    rtt: Uint32Array.from({ length: rttBuckets }, (_, bucket) => (bucket === 1 ? 3 : 0)),
  }
}

/** connects by `pod/container`. */
function connectsAfter(
  totals: TcpHealthTotals,
  rows: TcpHealthRows,
  owners: SocketOwners,
  now = 1,
): Record<string, number> {
  const { figures } = totals.update({ rows, long: [], live: undefined }, owners, now)
  return Object.fromEntries(
    figures.map(({ owner, counters }) => [
      `${owner.pod?.name ?? ''}/${owner.container}`,
      counters[field.connects] ?? 0,
    ]),
  )
}

it('gives each container what its cgroup counted, and the node the rest of its namespace', () => {
  const rows = rowsOf([11, podNamespace, 5], [12, host.inode, 7], [1, host.inode, 9])
  const owners = ownersOf(container('a', 'web', 11), container('b', 'agent', 12, host.inode))

  expect(connectsAfter(new TcpHealthTotals(), rows, owners)).toEqual({
    'web/main': 5,
    'agent/main': 7,
    '/': 9,
  })
})

it('begins a container without events at zero', () => {
  expect(connectsAfter(new TcpHealthTotals(), rowsOf(), ownersOf(container('a', 'web', 11)))).toEqual({
    'web/main': 0,
    '/': 0,
  })
})

it('goes on counting over a restart of the container', () => {
  const totals = new TcpHealthTotals()
  connectsAfter(totals, rowsOf([11, podNamespace, 5]), ownersOf(container('a', 'web', 11)))

  const restarted = ownersOf(container('b', 'web', 22))

  expect(
    connectsAfter(totals, rowsOf([11, podNamespace, 6], [22, podNamespace, 2]), restarted),
  ).toMatchObject({
    'web/main': 8,
  })
})

it('begins again under the new name of a container that is renamed, and counts nothing twice', () => {
  const totals = new TcpHealthTotals()
  const plain = { ...container('a', 'web', 11), pod: undefined, name: 'before' }
  expect(connectsAfter(totals, rowsOf([11, podNamespace, 5]), ownersOf(plain))).toMatchObject({
    '/before': 5,
  })

  const renamed = ownersOf({ ...plain, name: 'after' })

  expect(connectsAfter(totals, rowsOf([11, podNamespace, 7]), renamed)).toEqual({ '/after': 2, '/': 0 })
})

it('gives a container what the cgroups below its own counted', () => {
  const resolve = (cgroupId: number): number => (cgroupId === 12 ? 11 : cgroupId)
  const two = ['a', 'b'].map((id, index) => ({ ...container(id, 'web', 11 + index * 10), name: id }))
  const owners = new SocketOwners(snapshotOf(two, host), resolve)

  expect(
    connectsAfter(new TcpHealthTotals(), rowsOf([11, podNamespace, 5], [12, podNamespace, 2]), owners),
  ).toMatchObject({ 'web/a': 7, 'web/b': 0 })
})

it('goes on counting when the pod was without a container for a while', () => {
  const totals = new TcpHealthTotals()
  connectsAfter(totals, rowsOf([11, podNamespace, 5]), ownersOf(container('a', 'web', 11)), 0)

  expect(connectsAfter(totals, rowsOf([11, podNamespace, 6]), ownersOf(), 60_000)).toEqual({ '/': 0 })

  const again = ownersOf(container('b', 'web', 22))
  expect(
    connectsAfter(totals, rowsOf([11, podNamespace, 6], [22, podNamespace, 1]), again, 300_000),
  ).toMatchObject({ 'web/main': 7 })
})

it('ends with the pod, and begins again with another of its name', () => {
  const totals = new TcpHealthTotals()
  connectsAfter(totals, rowsOf([11, podNamespace, 5]), ownersOf(container('a', 'web', 11)))
  const successor = container('b', 'web', 22, 4_026_533_000)
  const owners = ownersOf({ ...successor, pod: { ...successor.pod!, uid: 'another' } })

  expect(connectsAfter(totals, rowsOf([22, 4_026_533_000, 1]), owners)).toMatchObject({ 'web/main': 1 })
})

it('forgets, also in the kernel, what is gone for good', () => {
  const totals = new TcpHealthTotals()
  const rows = rowsOf([11, podNamespace, 5])
  connectsAfter(totals, rows, ownersOf(container('a', 'web', 11)), 0)

  const input = { rows, long: [], live: undefined }
  expect(totals.update(input, ownersOf(), 5 * 60_000).forgotten).toEqual([])
  expect(totals.update(input, ownersOf(), 11 * 60_000).forgotten).toEqual([
    { cgroupId: 11, namespace: podNamespace },
  ])
})

it('never forgets a container that still runs', () => {
  const totals = new TcpHealthTotals()
  const owners = ownersOf(container('a', 'web', 11))
  const input = { rows: rowsOf([11, podNamespace, 5]), long: [], live: undefined }
  totals.update(input, owners, 0)

  expect(totals.update(input, owners, 3_600_000).forgotten).toEqual([])
})

it('adds the bytes of open connections, and does not go back when they end unseen', () => {
  const totals = new TcpHealthTotals()
  const owners = ownersOf(container('a', 'web', 11))
  const update = (ended: number, live: LiveTcp | undefined): number => {
    const rows = rowsOf([11, podNamespace, 0])
    rows.counters[field.bytesReceived] = ended
    const { figures } = totals.update({ rows, long: [], live }, owners, 1)
    return figures.find(({ owner }) => owner.pod?.name === 'web')?.bytesReceived ?? 0
  }

  expect(update(0, liveOf(11, podNamespace, 700))).toBe(700)
  expect(update(0, undefined)).toBe(700)
  expect(update(900, undefined)).toBe(900)
})

it('gives round-trip times and long connections to their owner', () => {
  const owners = ownersOf(container('a', 'web', 11))
  const long = [{ cgroupId: 11, namespace: podNamespace, count: 4 }]

  const { figures } = new TcpHealthTotals().update(
    { rows: rowsOf(), long, live: liveOf(11, podNamespace, 1) },
    owners,
    1,
  )

  const web = figures.find(({ owner }) => owner.pod?.name === 'web')
  expect(web?.rtt[1]).toBe(3)
  expect(web?.long).toBe(4)
  expect(web?.bytesAcked).toBe(2)
})
