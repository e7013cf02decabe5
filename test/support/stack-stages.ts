/** What the reader of the network stack has seen, and traffic for it. */
import { fileURLToPath } from 'node:url'
import { run } from '../../lab/process.ts'
import { stackStages } from '../../src/exporter/core/decode-stack.ts'
import type { StackReader } from '../../src/exporter/ebpf/stack-reader.ts'

const trafficProgram = fileURLToPath(new URL('../../lab/stack-traffic.ts', import.meta.url))

/** Packets in each stage of the only namespace that is watched, and its buckets; stages without packets are left out. */
export function stagesOf(reader: StackReader): Record<string, { packets: number; buckets: number[] }> {
  const stages = reader.read().times[0]?.stages ?? []
  return Object.fromEntries(
    stages.flatMap(({ buckets }, index) => {
      const packets = buckets.reduce((sum, value) => sum + value, 0)
      const { direction, stage } = stackStages[index] ?? { direction: '', stage: '' }
      return packets === 0 ? [] : [[`${direction} ${stage}`, { packets, buckets: [...buckets] }]]
    }),
  )
}

/** Runs lab/stack-traffic.ts in the network namespace of a process; gives how many bytes were read. */
export async function stackTraffic(pid: number, ...args: string[]): Promise<number> {
  const entered = ['--target', String(pid), '--net', process.execPath, trafficProgram, ...args]
  return Number(await run('nsenter', entered))
}
