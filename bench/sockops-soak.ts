/**
 * `npm run bench -- sockops-soak`: mixed traffic over short-cut connections, every byte compared, until a terabyte has gone
 * through or an hour is over. Needs root and a C compiler. BENCH_BYTES and BENCH_SECONDS make it smaller. Fails on the first wrong byte.
 */
import { ConnectionPairs } from '../lab/connection-pairs.ts'
import { prepare } from '../lab/needs.ts'
import { ShortCutCgroup } from '../lab/short-cut-cgroup.ts'
import { waitFor } from '../lab/wait.ts'
import type { BenchResult } from './result.ts'

const bytes = Number(process.env['BENCH_BYTES'] ?? 1e12)
const seconds = Number(process.env['BENCH_SECONDS'] ?? 3_600)

export async function sockopsSoak(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['libbpf', 'bpf']))
  if (missing.length > 0) throw new Error(missing.join('; '))
  await using pairs = await ConnectionPairs.build()
  await using shortCut = await ShortCutCgroup.start()
  const printed = await shortCut.run(pairs.program, ['soak', String(bytes), String(seconds)])
  const [compared = 0, ns = 0, connections = 0] = printed.trim().split(' ').map(Number)
  // Every connection has two ends.
  await waitFor('the last figures', () => shortCut.reading.connections >= 2 * connections)
  const { messages, bytes: handedOver, fallbacks } = shortCut.reading
  const subject = 'short-cut connections'
  return {
    rows: [
      { what: 'compared, none wrong', subject, value: compared, unit: 'bytes' },
      { what: 'wall', subject, value: ns / 1e9, unit: 's' },
      { what: 'connections', subject, value: connections, unit: 'count' },
      { what: 'handed over', subject, value: handedOver, unit: 'bytes' },
      { what: 'messages handed over', subject, value: messages, unit: 'count' },
      ...Object.entries(fallbacks).map(([reason, value]) => ({
        ...{ what: `the normal way: ${reason}`, subject, value, unit: 'count' as const },
      })),
    ],
    ratios: { handedOverShare: handedOver / compared },
  }
}
