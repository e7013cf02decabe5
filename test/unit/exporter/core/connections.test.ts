import { describe, expect, it } from 'vitest'
import { formatAddress } from '../../../../src/exporter/core/address.ts'
import type { ConnectionOwner } from '../../../../src/exporter/core/connection-owners.ts'
import {
  boundConnections,
  statusNames,
  type ConnectionBounds,
} from '../../../../src/exporter/core/connections.ts'
import { snapshotOf, type Container } from '../../../../src/exporter/core/containers.ts'
import { keepHighest } from '../../../../src/exporter/core/keep-highest.ts'
import { SocketTableBuilder } from '../../../../src/exporter/core/socket-table-builder.ts'
import { SocketRow, tcpState } from '../../../../src/exporter/core/socket-table.ts'
import { container, pod } from '../../../support/containers.ts'

const hostNamespace = 4_026_531_840
const host = { inode: hostNamespace, pid: 1 }
const unbound: ConnectionBounds = { maxSeriesPerPod: 1_000, maxSeries: 100_000 }

interface Sockets {
  namespace: number
  /** Last byte of 10.0.0.x. */
  peer: number
  port?: number
  state?: number
  cgroupId?: number
  count?: number
}

async function bound(containers: Container[], sockets: Sockets[], bounds = unbound) {
  const builder = new SocketTableBuilder()
  const row = new SocketRow()
  for (const { namespace, peer, port = 80, state = 1, cgroupId = 0, count = 1 } of sockets) {
    Object.assign(row, { namespace, remotePort: port, state, cgroupId })
    row.remote[0] = 0x0a000000 + peer
    for (let k = 0; k < count; k += 1) builder.add(row)
  }
  const snapshot = snapshotOf(containers, host)
  const result = await boundConnections(
    snapshot,
    builder.finish(),
    bounds,
    (id) => id,
    () => Promise.resolve(),
  )
  const { owners, columns, kept, others, folded } = result
  const nameOf = ({ pod, container }: ConnectionOwner): string => `${pod?.name ?? '-'}/${container || '-'}`
  const series = owners.flatMap((owner) => {
    const { from, to } = owner
    return Array.from({ length: to - from }, (_, k) => from + k)
      .filter((row) => kept[row] === 1)
      .map((row) => {
        const peer = `${formatAddress(columns.remote, row * 4)}:${String(columns.remotePort[row])}`
        return `${nameOf(owner)} ${peer} ${String(statusNames[columns.state[row] ?? 0])} ${String(columns.count[row])}`
      })
  })
  const rest = others.map(
    ({ owner, state, count }) => `${nameOf(owner)} ~other: ${String(statusNames[state])} ${count}`,
  )
  return { folded, series: [...series, ...rest] }
}

describe('who owns a socket', () => {
  it("is the pod's only container, or the pod alone", async () => {
    const one = container('main', { pod: pod('one'), networkNamespace: 5 })
    const two = ['a', 'b'].map((name) => container(name, { pod: pod('two'), networkNamespace: 6 }))
    const { series } = await bound(
      [one, ...two],
      [
        { namespace: 5, peer: 1 },
        { namespace: 6, peer: 2 },
      ],
    )
    expect(series).toEqual(['one/main 10.0.0.1:80 ESTABLISHED 1', 'two/- 10.0.0.2:80 ESTABLISHED 1'])
  })

  it('is the container whose cgroup the socket carries', async () => {
    const two = ['a', 'b'].map((name, index) =>
      container(name, { pod: pod('two'), networkNamespace: 6, cgroupId: 70 + index }),
    )
    const { series } = await bound(two, [
      { namespace: 6, peer: 2, cgroupId: 70 },
      { namespace: 6, peer: 2, cgroupId: 71, count: 2 },
      { namespace: 6, peer: 2, state: tcpState.timeWait },
    ])
    expect(series).toEqual([
      'two/a 10.0.0.2:80 ESTABLISHED 1',
      'two/b 10.0.0.2:80 ESTABLISHED 2',
      'two/- 10.0.0.2:80 TIME_WAIT 1',
    ])
  })

  it('is one series when a container has sockets with and without a known cgroup', async () => {
    const one = container('main', { pod: pod('one'), cgroupId: 70 })
    const { series } = await bound(
      [one],
      [
        { namespace: 5, peer: 1, cgroupId: 70 },
        { namespace: 5, peer: 1 },
        { namespace: 5, peer: 1, cgroupId: 71 },
      ],
    )
    expect(series).toEqual(['one/main 10.0.0.1:80 ESTABLISHED 3'])
  })

  it('is one series where a pod is replaced by one of its name in another namespace', async () => {
    const both = [5, 6].map((networkNamespace) =>
      container('main', { id: String(networkNamespace), pod: pod('one'), networkNamespace }),
    )
    const other = container('main', { id: 'other', pod: pod('two'), networkNamespace: 7 })
    const { series } = await bound(
      [...both, other],
      [
        { namespace: 5, peer: 1 },
        { namespace: 7, peer: 3 },
        { namespace: 6, peer: 1, count: 2 },
        { namespace: 6, peer: 2 },
      ],
    )
    expect(series).toEqual([
      'one/main 10.0.0.1:80 ESTABLISHED 3',
      'one/main 10.0.0.2:80 ESTABLISHED 1',
      'two/main 10.0.0.3:80 ESTABLISHED 1',
    ])
  })

  it('is the node in its own namespace, once, but for hostNetwork pods with a known cgroup', async () => {
    const pods = ['p', 'q'].map((name, index) =>
      container('main', { id: name, pod: pod(name), networkNamespace: hostNamespace, cgroupId: 70 + index }),
    )
    const { series } = await bound(pods, [
      { namespace: hostNamespace, peer: 1, count: 3 },
      { namespace: hostNamespace, peer: 1, cgroupId: 71 },
    ])
    expect(series).toEqual(['-/- 10.0.0.1:80 ESTABLISHED 3', 'q/main 10.0.0.1:80 ESTABLISHED 1'])
  })

  it('is a plain container by its own name, several in one namespace together', async () => {
    const plain = [
      container('redis', { networkNamespace: 7 }),
      container('web', { networkNamespace: 8 }),
      container('side', { networkNamespace: 8 }),
    ]
    const { series } = await bound(plain, [
      { namespace: 7, peer: 1 },
      { namespace: 8, peer: 1 },
    ])
    expect(series).toEqual(['-/redis 10.0.0.1:80 ESTABLISHED 1', '-/side+web 10.0.0.1:80 ESTABLISHED 1'])
  })

  it('is a container by the name that it has now', async () => {
    const before = container('before', { networkNamespace: 7, cgroupId: 70 })
    const socket = [{ namespace: 7, peer: 1, cgroupId: 70 }]
    expect((await bound([before], socket)).series).toEqual(['-/before 10.0.0.1:80 ESTABLISHED 1'])
    expect((await bound([{ ...before, name: 'after' }], socket)).series).toEqual([
      '-/after 10.0.0.1:80 ESTABLISHED 1',
    ])
  })

  it('is one series while a pod is replaced by one of its name', async () => {
    const [old, young] = ['old', 'young'].map((uid, index) =>
      container('main', { id: uid, pod: pod('db-0', { uid }), networkNamespace: 7 + index }),
    )
    const { series } = await bound(
      [old!, young!],
      [
        { namespace: 7, peer: 1 },
        { namespace: 8, peer: 1 },
      ],
    )
    expect(series).toEqual(['db-0/main 10.0.0.1:80 ESTABLISHED 2'])
  })
})

describe('the bounds', () => {
  const one = container('main', { pod: pod('one'), networkNamespace: 5 })
  const other = container('main', { id: 'other', pod: pod('other'), networkNamespace: 6 })
  const many: Sockets[] = Array.from({ length: 20 }, (_, k) => ({
    ...{ namespace: 5, peer: k, count: k < 3 ? 10 - k : 1 },
    state: k === 19 ? tcpState.closeWait : tcpState.established,
  }))

  it('keep the highest counts of a pod and sum up the rest by state', async () => {
    const { series, folded } = await bound([one], many, { maxSeriesPerPod: 6, maxSeries: 100 })
    expect(series.sort()).toEqual([
      'one/main 10.0.0.0:80 ESTABLISHED 10',
      'one/main 10.0.0.1:80 ESTABLISHED 9',
      'one/main 10.0.0.2:80 ESTABLISHED 8',
      'one/main 10.0.0.3:80 ESTABLISHED 1',
      'one/main ~other: CLOSE_WAIT 1',
      'one/main ~other: ESTABLISHED 15',
    ])
    expect(folded).toEqual({ pod: 16, node: 0 })
  })

  it('keep the highest counts of the node', async () => {
    const sockets = [...many, { namespace: 6, peer: 1, count: 7 }, { namespace: 6, peer: 2 }]
    const { series, folded } = await bound([one, other], sockets, { maxSeriesPerPod: 100, maxSeries: 7 })
    expect(series.sort()).toEqual([
      'one/main 10.0.0.0:80 ESTABLISHED 10',
      'one/main 10.0.0.1:80 ESTABLISHED 9',
      'one/main 10.0.0.2:80 ESTABLISHED 8',
      'one/main ~other: CLOSE_WAIT 1',
      'one/main ~other: ESTABLISHED 16',
      'other/main 10.0.0.1:80 ESTABLISHED 7',
      'other/main ~other: ESTABLISHED 1',
    ])
    expect(folded).toEqual({ pod: 0, node: 18 })
  })

  it('hold even when there are more pods than series', async () => {
    const pods = Array.from({ length: 30 }, (_, k) =>
      container('main', { id: String(k), pod: pod(`p${k}`), networkNamespace: 100 + k }),
    )
    const sockets = pods.map(({ networkNamespace: namespace }, k) => ({ namespace, peer: k }))
    const { series } = await bound(pods, sockets, { maxSeriesPerPod: 100, maxSeries: 10 })
    expect(series).toEqual(['-/- ~other: ESTABLISHED 30'])
  })

  it('lose no socket', async () => {
    for (const maxSeriesPerPod of [1, 2, 5, 19, 20, 100])
      for (const maxSeries of [1, 3, 10, 21, 100]) {
        const { series } = await bound([one, other], [...many, { namespace: 6, peer: 1 }], {
          ...{ maxSeriesPerPod, maxSeries },
        })
        const sum = series.reduce((total, text) => total + Number(text.split(' ').pop()), 0)
        expect(sum).toBe(many.reduce((total, { count = 1 }) => total + count, 0) + 1)
        expect(series.length).toBeLessThanOrEqual(Math.max(2, maxSeries))
      }
  })
})

describe('keepHighest', () => {
  it('agrees with sorting', () => {
    let seed = 7
    const random = (): number => (seed = (seed * 48_271) % 2_147_483_647)
    for (let round = 0; round < 200; round += 1) {
      const items = Array.from({ length: random() % 40 }, () => random() % 10)
      const keep = random() % 45
      const { kept, rest } = keepHighest(items, keep, (a, b) => b - a)
      const sorted = items.toSorted((a, b) => b - a)
      expect(kept.toSorted((a, b) => b - a)).toEqual(sorted.slice(0, keep))
      expect(rest.toSorted((a, b) => b - a)).toEqual(sorted.slice(keep))
    }
  })
})
