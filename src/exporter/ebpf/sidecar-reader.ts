/** Reads the ring of connection events all the time and counts what sidecars do. Synchronous: for a worker. */
import { SidecarView, type CountedSidecar } from '../core/sidecar/view.ts'
import type { ConnectedPod } from '../core/sidecar/pod.ts'
import { ConnectionReader, type ConnectionReaderOptions } from './connection-reader.ts'

export interface SidecarReading {
  readonly sidecars: readonly CountedSidecar[]
  /** Events that were not told, since the start: see ConnectionReader. */
  readonly lost: number
}

/** How often the ring is read, in milliseconds: it has room for 90,000 events a second. */
const drainEveryMs = 100

export class SidecarReader implements Disposable {
  readonly #connections: ConnectionReader
  readonly #view = new SidecarView()
  readonly #timer: NodeJS.Timeout

  /** @throws LibbpfError, BpfError when the program cannot be attached */
  constructor(options: ConnectionReaderOptions) {
    this.#connections = new ConnectionReader(options)
    this.#timer = setInterval(() => {
      this.#drain()
    }, drainEveryMs)
  }

  /** From now on, these pods are watched and no others. @throws BpfError */
  watch(pods: readonly ConnectedPod[]): void {
    // What has happened so far is of the pods as they were.
    this.#drain()
    this.#view.watch(pods)
    this.#connections.watch(pods.map(({ networkNamespace }) => networkNamespace))
  }

  read(): SidecarReading {
    this.#drain()
    return { sidecars: this.#view.read(), lost: this.#connections.lost }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#connections[Symbol.dispose]()
  }

  #drain(): void {
    this.#connections.drain((event) => {
      this.#view.add(event)
    })
  }
}
