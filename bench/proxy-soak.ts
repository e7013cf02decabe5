/** Whether the proxy keeps its memory and sockets over 100,000 scrapes, many of which fail in every way. Takes minutes. */
import { soak } from '../lab/proxy-soak.ts'
import type { BenchResult } from './result.ts'

const scrapes = 100_000

export async function proxySoak(): Promise<BenchResult> {
  const { whole, rssBytes, socketsLeft, complaints } = await soak(scrapes)
  const subject = 'podsonar'
  const [half, end] = rssBytes
  return {
    rows: [
      { what: 'scrapes', subject, value: scrapes, unit: 'count' },
      { what: 'that came whole', subject, value: whole, unit: 'count' },
      { what: 'resident memory after half', subject, value: half / 2 ** 20, unit: 'MiB' },
      { what: 'resident memory at the end', subject, value: end / 2 ** 20, unit: 'MiB' },
      { what: 'connections kept at the end', subject, value: socketsLeft, unit: 'count' },
      { what: 'complaints in its log', subject, value: complaints.length, unit: 'count' },
    ],
    ratios: { soakRssGrowth: end / half },
  }
}
