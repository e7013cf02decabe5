/** The thread of {@link WatchedRequests}: opens and closes readers of requests, one at a time, as it is told. */
import { parentPort } from 'node:worker_threads'
import { libbpfFile } from '../lab/needs.ts'
import { silentLogger } from '../src/common/logger.ts'
import { RequestReader, type RequestHooks, type RequestReading } from '../src/exporter/ebpf/request-reader.ts'

/** What it is asked: `open` ends what was open before. */
export type ReaderCall =
  | {
      readonly name: 'open'
      readonly cgroupId: number
      readonly cpuShare: number
      readonly hooks: RequestHooks
    }
  | { readonly name: 'read' }
  | { readonly name: 'close' }

/** HTTP and gRPC; undefined but for `read`. */
export type ReaderAnswer = { readonly reading: RequestReading | undefined } | { readonly error: unknown }

let reader: RequestReader | undefined

function answer(call: ReaderCall): RequestReading | undefined {
  if (call.name === 'read') {
    if (reader === undefined) throw new Error('Cannot read requests: none are watched')
    const rpc = reader.read(true)
    const http = reader.read(false)
    return { ...http, series: [...http.series, ...rpc.series] }
  }
  reader?.[Symbol.dispose]()
  reader = undefined
  if (call.name === 'close') return undefined
  const { cgroupId, cpuShare, hooks } = call
  const options = { libbpf: libbpfFile(), maxSeries: 2_000, maxConnections: 20_000, cpuShare, hooks }
  reader = new RequestReader({ ...options, log: silentLogger })
  reader.watch([{ cgroupId, owner: 'it' }])
  return undefined
}

parentPort?.on('message', (call: ReaderCall) => {
  let told: ReaderAnswer
  try {
    told = { reading: answer(call) }
  } catch (error) {
    told = { error }
  }
  parentPort?.postMessage(told)
})
