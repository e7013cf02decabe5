/**
 * Whether the proxy keeps its memory and sockets over 100,000 scrapes, many of which fail in every way, while the API
 * server is away for ten minutes. Takes longer than these.
 */
import { soak } from '../lab/proxy-soak.ts'
import type { BenchResult } from './result.ts'

const atLeast = { scrapes: 100_000, awayMs: 10 * 60_000 }

export async function proxySoak(): Promise<BenchResult> {
  const { scrapes, whole, rssBytes, socketsKept, socketsLeft, awaySeconds, complaints } = await soak(atLeast)
  const subject = 'podsonar'
  const [half, end] = rssBytes
  return {
    rows: [
      { what: 'scrapes', subject, value: scrapes, unit: 'count' },
      { what: 'that came whole', subject, value: whole, unit: 'count' },
      { what: 'resident memory after half', subject, value: half / 2 ** 20, unit: 'MiB' },
      { what: 'resident memory at the end', subject, value: end / 2 ** 20, unit: 'MiB' },
      { what: 'idle connections to kubelets after the last', subject, value: socketsKept, unit: 'count' },
      { what: 'sockets left over when kubelets close these', subject, value: socketsLeft, unit: 'count' },
      { what: 'without an API server', subject, value: awaySeconds, unit: 's' },
      { what: 'complaints in its log', subject, value: complaints.length, unit: 'count' },
    ],
    ratios: { soakRssGrowth: end / half },
  }
}
