/**
 * Loaded into the program (`--import`): notes how long the turns of its event loop take, and where the time went: its own thread
 * computed; it could have, but the processors were with others, of whom there are many on one machine (containerd, runc, this
 * benchmark); or the machine itself stood still, because its host gave the processors to other machines. What is left is time in
 * which it waited for the kernel or for another of its threads. Written to the file BENCH_TURNS at the end.
 */
import { openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

/** A turn that took longer than {@link shortest}; in milliseconds. */
export interface Turn {
  /** Since the epoch. */
  readonly began: number
  readonly wallMs: number
  readonly cpuMs: number
  /** It was ready to run, and waited for a processor: proc(5), the second number of /proc/PID/task/TID/schedstat. */
  readonly queuedMs: number
  /** What the host took of all processors together, in steps of ten: proc(5), the eighth number of /proc/stat. */
  readonly stolenMs: number
}

const shortest = 10
const turns: Turn[] = []

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** The main thread's time in the queue of a processor, from its file, which stays open: this is asked a thousand times a second. */
class Queued {
  readonly #file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
  readonly #text = Buffer.alloc(100)

  ms(): number {
    const length = readSync(this.#file, this.#text, 0, this.#text.length, 0)
    return Number(this.#text.toString('latin1', 0, length).split(' ')[1]) / 1e6
  }
}

function stolenMs(): number {
  return Number(readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]?.split(/ +/)[8]) * 10
}

const file = process.env['BENCH_TURNS']
if (file !== undefined && isMainThread) {
  const queue = new Queued()
  let wall = performance.now()
  let [cpu, queued, stolen] = [threadCpuMs(), queue.ms(), stolenMs()]
  let stolenAt = wall
  setInterval(() => {
    const now = performance.now()
    const [cpuNow, queuedNow] = [threadCpuMs(), queue.ms()]
    const isLong = now - wall > shortest
    if (isLong || now - stolenAt > 10) {
      const stolenNow = stolenMs()
      if (isLong)
        turns.push({
          ...{ began: performance.timeOrigin + wall, wallMs: now - wall, cpuMs: cpuNow - cpu },
          ...{ queuedMs: queuedNow - queued, stolenMs: stolenNow - stolen },
        })
      stolen = stolenNow
      stolenAt = now
    }
    wall = performance.now()
    cpu = cpuNow
    queued = queuedNow
  }, 1).unref()
  process.on('exit', () => {
    writeFileSync(file, JSON.stringify(turns))
  })
}
