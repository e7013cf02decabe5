import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { waitFor } from '../lab/wait.ts'
import type { WatchedCgroup } from '../lab/watched-cgroup.ts'
import type { RequestHooks, RequestReading } from '../src/exporter/ebpf/request-reader.ts'
import type { ReaderAnswer, ReaderCall } from './request-worker.ts'

/** See RequestReaderOptions. @default as exporters have them */
interface WatchedRequestsOptions {
  readonly cpuShare?: number | undefined
  readonly hooks?: RequestHooks
}

interface Totals {
  readonly counted: number
  readonly sampledOut: number
  readonly lost: number
}

/**
 * The programs and their reader, in a thread of its own, as the exporter runs them. Programs are loaded and attached anew each time;
 * the thread stays, and with it the reader's compiled code: an exporter runs for days. One at a time.
 */
export class WatchedRequests implements AsyncDisposable {
  static #worker: Worker | undefined

  static async start(
    cgroup: WatchedCgroup,
    { cpuShare = 0.05, hooks = 'auto' }: WatchedRequestsOptions = {},
  ): Promise<WatchedRequests> {
    const watched = new WatchedRequests()
    await watched.#call({ name: 'open', cgroupId: cgroup.id, cpuShare, hooks })
    return watched
  }

  /** What was counted, HTTP and gRPC. */
  async read(): Promise<RequestReading> {
    const reading = await this.#call({ name: 'read' })
    if (reading === undefined) throw new Error('no reading')
    return reading
  }

  /** Requests that were counted and left out until now, and records that were lost. */
  async totals(): Promise<Totals> {
    const { series, sampledOut, lost } = await this.read()
    return { counted: countOf(series), sampledOut, lost }
  }

  /** Waits a moment for the last ones of `expected`, but takes what is there. */
  async until(expected: number): Promise<Totals> {
    let last: Totals = { counted: 0, sampledOut: 0, lost: 0 }
    await waitFor(
      'all requests',
      async () => {
        last = await this.totals()
        return last.counted >= expected
      },
      { timeoutMs: 1_000 },
    ).catch(() => undefined)
    return last
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call({ name: 'close' })
  }

  async #call(call: ReaderCall): Promise<RequestReading | undefined> {
    const worker = (WatchedRequests.#worker ??= startWorker())
    worker.ref()
    worker.postMessage(call)
    const [answer] = (await once(worker, 'message')) as [ReaderAnswer]
    worker.unref()
    if ('error' in answer) throw answer.error
    return answer.reading
  }
}

/** With as little memory for young objects as the exporter's. */
function startWorker(): Worker {
  return new Worker(new URL('request-worker.ts', import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  })
}

function countOf(series: RequestReading['series']): number {
  return series.reduce((total, { buckets }) => total + buckets.reduce((all, value) => all + value, 0), 0)
}
