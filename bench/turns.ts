/**
 * Loaded into the program (`--import`): notes how long the turns of its event loop take, and how much of that its own thread
 * computed; the rest of the time the processor was with others, of whom there are many on one machine: Consul, the API server,
 * this benchmark. Written to the file BENCH_TURNS at the end.
 */
import { writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

/** A turn that took longer than {@link shortest}. */
export interface Turn {
  /** Milliseconds since the epoch. */
  readonly began: number
  readonly wallMs: number
  readonly cpuMs: number
}

const shortest = 10
const turns: Turn[] = []

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

const file = process.env['BENCH_TURNS']
if (file !== undefined && isMainThread) {
  let wall = performance.now()
  let cpu = threadCpuMs()
  setInterval(() => {
    const now = performance.now()
    const cpuNow = threadCpuMs()
    if (now - wall > shortest)
      turns.push({ began: performance.timeOrigin + wall, wallMs: now - wall, cpuMs: cpuNow - cpu })
    wall = now
    cpu = cpuNow
  }, 1).unref()
  process.on('exit', () => {
    writeFileSync(file, JSON.stringify(turns))
  })
}
