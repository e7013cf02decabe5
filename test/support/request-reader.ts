/** Readers of requests in tests, and what they counted. */
import { expect } from 'vitest'
import { libbpfFile } from '../../lab/needs.ts'
import { waitFor } from '../../lab/wait.ts'
import type { WatchedCgroup } from '../../lab/watched-cgroup.ts'
import { silentLogger } from '../../src/common/logger.ts'
import { RequestReader, type RequestReaderOptions } from '../../src/exporter/ebpf/request-reader.ts'

/** Watches these cgroups; what is counted is theirs by name. */
export function openRequestReader(
  cgroups: Readonly<Record<string, WatchedCgroup>>,
  options: Partial<RequestReaderOptions> = {},
): RequestReader {
  const bounds = { maxSeries: 500, maxConnections: 2_000 }
  const reader = new RequestReader({ libbpf: libbpfFile(), log: silentLogger, ...bounds, ...options })
  reader.watch(Object.entries(cgroups).map(([owner, { id }]) => ({ owner, cgroupId: id })))
  return reader
}

/** How often each `owner kind method route status` (`owner kind method status` of calls) was counted. */
export function countedOf(reader: RequestReader): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { owner, kind, labels, buckets } of [
    ...reader.read(false).series,
    ...reader.read(true).series,
  ]) {
    const label = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(labels)?.[1] ?? ''
    const parts = kind.startsWith('rpc')
      ? [label('rpc_method'), label('rpc_response_status_code')]
      : [
          label('http_request_method'),
          label('http_route') || label('url_template'),
          label('http_response_status_code'),
        ]
    const key = [owner, kind, ...parts].join(' ')
    counts[key] = (counts[key] ?? 0) + buckets.reduce((sum, value) => sum + value, 0)
  }
  return counts
}

/** Waits until exactly this was counted. */
export async function untilCounted(
  reader: RequestReader,
  expected: Readonly<Record<string, number>>,
): Promise<void> {
  await waitFor('the requests to be counted', () => {
    expect(countedOf(reader)).toEqual(expected)
    return true
  })
}
