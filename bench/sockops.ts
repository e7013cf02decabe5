/**
 * `npm run bench -- sockops`: latency and throughput of two processes on loopback, as an application and its sidecar have it, with and
 * without the short cut, in turn. Needs root and a C compiler.
 */
import { ConnectionPairs } from '../lab/connection-pairs.ts'
import { run } from '../lab/process.ts'
import { prepare } from '../lab/needs.ts'
import { ShortCutCgroup } from '../lab/short-cut-cgroup.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'

const rounds = Number(process.env['BENCH_ROUNDS'] ?? 7)
const exchanges = 20_000
/** Bytes of a message: those of a small request, and of a page. */
const sizes = [100, 16_384] as const
const streamSeconds = 1
const streamWrite = 65_536

type Run = (args: readonly string[]) => Promise<string>

export async function sockops(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['libbpf', 'bpf']))
  if (missing.length > 0) throw new Error(missing.join('; '))
  await using pairs = await ConnectionPairs.build()
  await using shortCut = await ShortCutCgroup.start()
  const ways: Readonly<Record<string, Run>> = {
    'plain loopback': (args) => run(pairs.program, args),
    'short cut': (args) => shortCut.run(pairs.program, args),
  }
  const figures = new Map<string, number[]>()
  const add = (what: string, way: string, value: number): void => {
    figures.set(`${what}|${way}`, [...(figures.get(`${what}|${way}`) ?? []), value])
  }
  // In turn, so that a slower moment of the machine is shared by both.
  for (let round = 0; round < rounds; round += 1)
    for (const [way, start] of Object.entries(ways)) {
      for (const size of sizes) {
        const times = (await start(['latency', String(exchanges), String(size)])).trim().split('\n')
        add(`round trip of ${size} bytes, median`, way, median(times.map(Number)))
      }
      const [bytes = 0, ns = 1] = (await start(['stream', String(streamSeconds), String(streamWrite)]))
        .trim()
        .split(' ')
        .map(Number)
      add('one-way stream, bytes a second', way, bytes / (ns / 1e9))
    }
  const of = (what: string, way: string): number => median(figures.get(`${what}|${way}`) ?? [])
  const gain = (what: string): number => of(what, 'plain loopback') / of(what, 'short cut')
  const rows = [...figures.keys()].map((key): BenchRow => {
    const [what = '', way = ''] = key.split('|')
    return { what, subject: way, value: of(what, way), unit: what.startsWith('round') ? 'ns' : 'bytes' }
  })
  return {
    rows,
    ratios: {
      latencyGain: gain(`round trip of ${sizes[0]} bytes, median`),
      latencyGain16KiB: gain(`round trip of ${sizes[1]} bytes, median`),
      throughputGain: 1 / gain('one-way stream, bytes a second'),
    },
  }
}
