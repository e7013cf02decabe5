import { libbpfFile } from '../lab/needs.ts'
import { waitFor } from '../lab/wait.ts'
import type { WatchedCgroup } from '../lab/watched-cgroup.ts'
import { silentLogger } from '../src/common/logger.ts'
import type { RequestHooks, RequestReading } from '../src/exporter/ebpf/request-reader.ts'
import { EbpfWorker } from '../src/exporter/ebpf/worker-client.ts'

/** See RequestReaderOptions. @default as exporters have them */
interface WatchedRequestsOptions {
  readonly cpuShare?: number | undefined
  readonly hooks?: RequestHooks
}

/** The programs and their reader, as the exporter runs them: in a thread of their own. */
export class WatchedRequests implements AsyncDisposable {
  readonly #worker = new EbpfWorker(silentLogger)

  static async start(
    cgroup: WatchedCgroup,
    { cpuShare = 0.1, hooks = 'auto' }: WatchedRequestsOptions = {},
  ): Promise<WatchedRequests> {
    const watched = new WatchedRequests()
    const options = { libbpf: libbpfFile(), maxSeries: 2_000, maxConnections: 20_000, cpuShare, hooks }
    await watched.#worker.call('openRequests', options)
    await watched.#worker.call('watchRequests', {
      cgroups: [{ cgroupId: cgroup.id, owner: 'it' }],
      libraries: [],
    })
    return watched
  }

  /** What was counted, HTTP and gRPC. */
  async read(): Promise<RequestReading> {
    const readings = await Promise.all(
      [false, true].map((calls) => this.#worker.call('readRequests', { calls })),
    )
    const [http, rpc] = readings
    if (http === undefined || rpc === undefined) throw new Error('no reading')
    return { ...http, series: [...http.series, ...rpc.series] }
  }

  /** Waits a moment for the last ones of `expected`, but takes what is there. */
  async until(expected: number): Promise<{ counted: number; sampledOut: number; lost: number }> {
    let last = { counted: 0, sampledOut: 0, lost: 0 }
    await waitFor(
      'all requests',
      async () => {
        const { series, sampledOut, lost } = await this.read()
        last = { counted: countOf(series), sampledOut, lost }
        return last.counted >= expected
      },
      { timeoutMs: 1_000 },
    ).catch(() => undefined)
    return last
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#worker[Symbol.asyncDispose]()
  }
}

function countOf(series: RequestReading['series']): number {
  return series.reduce((total, { buckets }) => total + buckets.reduce((all, value) => all + value, 0), 0)
}
