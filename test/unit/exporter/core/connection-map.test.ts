import { describe, expect, it } from 'vitest'
import {
  connectionMap,
  usualMapBounds,
  type MapBounds,
  type PodAddresses,
} from '../../../../src/exporter/core/connection-map.ts'
import { snapshotOf, type Container } from '../../../../src/exporter/core/containers.ts'
import { SocketTableBuilder } from '../../../../src/exporter/core/socket-table-builder.ts'
import { SocketRow, tcpState } from '../../../../src/exporter/core/socket-table.ts'
import { mapSvg } from '../../../../src/exporter/map-svg.ts'
import { container, pod } from '../../../support/containers.ts'

interface Sockets {
  readonly namespace: number
  /** Last bytes of 10.0.x.x. */
  readonly peer?: number
  readonly port?: number
  readonly state?: number
  readonly localPort?: number
  readonly count?: number
}

function mapOf(
  containers: Container[],
  sockets: Sockets[],
  bounds: Partial<MapBounds> = {},
  addresses: PodAddresses = new Map(),
) {
  const builder = new SocketTableBuilder()
  const row = new SocketRow()
  for (const { namespace, peer = 1, port = 5432, state = 1, localPort = 40_000, count = 1 } of sockets) {
    Object.assign(row, { namespace, remotePort: port, localPort, state })
    row.remote[0] = 0x0a000000 + peer
    for (let k = 0; k < count; k += 1) builder.add(row)
  }
  const snapshot = snapshotOf(containers, { inode: 1, pid: 1 })
  return connectionMap(snapshot, builder.finish(), addresses, { ...usualMapBounds, ...bounds })
}

/** Pods of two workloads, and the inodes 10, 11, … of their network namespaces. */
function pods(count: number): Container[] {
  return Array.from({ length: count }, (_, index) =>
    container('main', {
      pod: pod(
        `${index % 2 === 0 ? 'web' : 'api'}-6d94677687-${'bcdfg'.slice(0, 4)}${'bcdfghjklm'[index % 10] ?? ''}`,
        {
          uid: `uid-${index}`,
          namespace: 'shop',
        },
      ),
      networkNamespace: 10 + index,
    }),
  )
}

describe('connectionMap()', () => {
  it('draws each pod and each peer while they are few', () => {
    const { sources, peers, edges } = mapOf(pods(2), [
      { namespace: 10, count: 3 },
      { namespace: 10, peer: 2, port: 8081 },
      { namespace: 11, state: tcpState.closeWait, count: 2 },
    ])
    expect(sources.map(({ name, pods: count, closeWait }) => [name, count, closeWait])).toEqual([
      ['api-6d94677687-bcdfc', 1, 2],
      ['web-6d94677687-bcdfb', 1, 0],
    ])
    expect(peers).toEqual([
      { service: 'PostgreSQL', port: 5432, where: '10.0.0.1', named: false },
      { service: 'port 8081', port: 8081, where: '10.0.0.2', named: false },
    ])
    expect(edges).toEqual([
      { from: 0, to: 0, sockets: 2, closeWait: 2 },
      { from: 1, to: 0, sockets: 3, closeWait: 0 },
      { from: 1, to: 1, sockets: 1, closeWait: 0 },
    ])
  })

  it('draws workloads and ports when pods and peers are many', () => {
    const many = pods(300)
    const sockets = many.flatMap((_, index) =>
      [1, 2].map((k) => ({ namespace: 10 + index, peer: index * 2 + k })),
    )
    const { sources, peers, edges, hidden } = mapOf(many, sockets)
    expect(sources.map(({ name, pods: count }) => [name, count])).toEqual([
      ['api', 150],
      ['web', 150],
    ])
    expect(peers).toEqual([{ service: 'PostgreSQL', port: 5432, where: '600 addresses', named: false }])
    expect(edges.map(({ sockets: count }) => count)).toEqual([300, 300])
    expect(hidden).toEqual({ sources: 0, peers: 0 })
  })

  it('names peers that are pods of this node, many of them by their workloads', () => {
    const addresses = new Map([1, 2, 3].map((k) => [`10.0.0.${k}`, pod(`db-${k}`)]))
    const sockets = [1, 2, 3, 9].map((peer) => ({ namespace: 10, peer }))
    const where = (maxPeers: number) =>
      mapOf(pods(1), sockets, { maxPeers }, addresses).peers.map((peer) => [peer.where, peer.named])
    expect(where(4)).toEqual([
      ['10.0.0.9', false],
      ['db-1', true],
      ['db-2', true],
      ['db-3', true],
    ])
    expect(where(3)).toEqual([
      ['db', true],
      ['10.0.0.9', false],
    ])
  })

  it('counts what others opened beside the pod, and leaves out what only listens or has ended', () => {
    const [one] = pods(1)
    const { sources, edges } = mapOf(one ? [one] : [], [
      { namespace: 10, port: 0, localPort: 80, state: tcpState.listen },
      { namespace: 10, port: 50_000, localPort: 80, count: 4 },
      { namespace: 10, state: tcpState.timeWait, count: 9 },
    ])
    expect([sources[0]?.inbound, edges.length]).toEqual([4, 0])
  })

  it('leaves out the node itself', () => {
    expect(mapOf([], [{ namespace: 1 }]).sources).toEqual([])
  })

  it('draws so many boxes and says how many it does not', () => {
    const many = pods(300).map((one, index) =>
      container('main', { ...one, pod: pod(`job-${index}x`, { uid: `${index}` }) }),
    )
    const sockets = many.map((_, index) => ({ namespace: 10 + index, port: 1000 + index }))
    const { sources, peers, edges, hidden } = mapOf(many, sockets, { maxBoxes: 10 })
    expect([sources.length, peers.length, hidden]).toEqual([10, 10, { sources: 290, peers: 0 }])
    for (const { from, to } of edges) expect([from < 10, to < 10]).toEqual([true, true])
  })
})

describe('mapSvg()', () => {
  it('escapes the names of pods', () => {
    const hostile = container('main', {
      pod: pod('<script>alert(1)</script>', { namespace: '"><img src=x>' }),
      networkNamespace: 10,
    })
    const { text } = mapSvg(mapOf([hostile], [{ namespace: 10 }]))
    expect(text).not.toMatch(/<script|<img/)
    expect(text).toContain('&lt;script&gt;')
  })
})
