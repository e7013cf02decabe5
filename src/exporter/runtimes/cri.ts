/** Container runtimes that serve the Container Runtime Interface v1: containerd, CRI-O, cri-dockerd. */
import { Client, credentials, status, type ClientUnaryCall, type ServiceError } from '@grpc/grpc-js'
import { PodsonarError } from '../../common/errors.ts'
import type { Listing } from '../core/containers.ts'
import { pidOf } from '../core/cri-info.ts'
import { criCall } from './cri-calls.ts'
import { CriListing, type CriContainer, type CriSandbox } from './cri-listing.ts'
import type { ContainerRuntime, WritableLayer } from './runtime.ts'

/** Whose answers are decoded entry by entry. */
const listContainers = criCall('ListContainers')
const listPodSandbox = criCall('ListPodSandbox')

function asItIs(bytes: Buffer): Buffer {
  return bytes
}

interface CriStats {
  readonly attributes: { readonly id: string } | null
  readonly writableLayer: {
    readonly usedBytes: { readonly value: number } | null
    readonly inodesUsed: { readonly value: number } | null
  } | null
}

/** A node with 1,000 containers that have long labels and annotations answers with a few MiB. */
const maxMessageBytes = 64 << 20

export class CriRuntime implements ContainerRuntime {
  readonly endpoint: string
  readonly #client: Client
  readonly #calls = new Set<ClientUnaryCall>()
  readonly #listing = new CriListing({
    containers: (bytes) => (listContainers.decode(bytes) as { containers: CriContainer[] }).containers,
    sandboxes: (bytes) => (listPodSandbox.decode(bytes) as { items: CriSandbox[] }).items,
  })
  #name = 'cri'
  #version = ''

  private constructor(endpoint: string) {
    this.endpoint = endpoint
    this.#client = new Client(endpoint.replace('unix://', 'unix:'), credentials.createInsecure(), {
      'grpc.max_receive_message_length': maxMessageBytes,
      // A runtime that restarts is back within seconds: gRPC would wait up to two minutes.
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 1_000,
    })
  }

  /**
   * Connects and asks for the version.
   *
   * @param endpoint `unix:///path`
   * @param signal gives up
   * @throws PodsonarError `runtime_failed` when nobody answers, or not with CRI v1
   */
  static async connect(endpoint: string, timeoutMs: number, signal: AbortSignal): Promise<CriRuntime> {
    const runtime = new CriRuntime(endpoint)
    const giveUp = (): void => {
      runtime[Symbol.dispose]()
    }
    signal.addEventListener('abort', giveUp)
    try {
      await runtime.identify(timeoutMs)
      return runtime
    } catch (error) {
      runtime[Symbol.dispose]()
      throw error
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  get name(): string {
    return this.#name
  }

  get version(): string {
    return this.#version
  }

  async identify(timeoutMs: number): Promise<void> {
    const { runtimeName, runtimeVersion } = await this.#call<{
      readonly runtimeName: string
      readonly runtimeVersion: string
    }>('Version', {}, timeoutMs)
    this.#name = runtimeName
    this.#version = runtimeVersion
  }

  async list(timeoutMs: number): Promise<Listing> {
    const running = { filter: { state: { state: 'CONTAINER_RUNNING' } } }
    const containers = await this.#call('ListContainers', running, timeoutMs, asItIs)
    return this.#listing.update(containers, () => this.#call('ListPodSandbox', {}, timeoutMs, asItIs))
  }

  pid(id: string, timeoutMs: number): Promise<number | undefined> {
    return this.#pid('ContainerStatus', { containerId: id, verbose: true }, timeoutMs)
  }

  async sandboxPid(id: string, timeoutMs: number): Promise<number | undefined> {
    const pid = await this.#pid('PodSandboxStatus', { podSandboxId: id, verbose: true }, timeoutMs)
    return pid === 0 ? undefined : pid
  }

  async #pid(method: string, request: object, timeoutMs: number): Promise<number | undefined> {
    try {
      const { info } = await this.#call<{ info: Record<string, string> }>(method, request, timeoutMs)
      return pidOf(info)
    } catch (error) {
      if (grpcCode(error) === status.NOT_FOUND) return undefined
      throw error
    }
  }

  async writableLayers(timeoutMs: number): Promise<ReadonlyMap<string, WritableLayer>> {
    const { stats } = await this.#call<{ stats: CriStats[] }>('ListContainerStats', {}, timeoutMs)
    return new Map(
      stats.flatMap(({ attributes, writableLayer }) =>
        attributes === null || !writableLayer?.usedBytes
          ? []
          : [
              [
                attributes.id,
                { bytes: writableLayer.usedBytes.value, inodes: writableLayer.inodesUsed?.value },
              ],
            ],
      ),
    )
  }

  /** Calls that still wait fail. */
  [Symbol.dispose](): void {
    for (const call of this.#calls) call.cancel()
    this.#client.close()
  }

  /** @param decode what reads the answer, if not the whole of it is wanted as an object */
  #call<T>(method: string, request: object, timeoutMs: number, decode?: (bytes: Buffer) => T): Promise<T> {
    const call = criCall(method)
    return new Promise((resolve, reject) => {
      const running = this.#client.makeUnaryRequest(
        call.path,
        call.encode,
        decode ?? (call.decode as (bytes: Buffer) => T),
        request,
        { deadline: Date.now() + timeoutMs },
        (error, response) => {
          this.#calls.delete(running)
          if (error === null && response !== undefined) resolve(response)
          else reject(this.#failure(method, error, timeoutMs))
        },
      )
      this.#calls.add(running)
    })
  }

  #failure(method: string, error: ServiceError | null, timeoutMs: number): PodsonarError {
    const what = `Cannot call ${method} of ${this.#name} at ${this.endpoint}`
    const why =
      error?.code === status.DEADLINE_EXCEEDED
        ? `no answer within ${timeoutMs} ms`
        : (error?.details ?? 'no answer')
    return new PodsonarError(
      'runtime_failed',
      `${what}: ${why}, expected a runtime that serves CRI v1`,
      error === null ? {} : { cause: error },
    )
  }
}

function grpcCode(error: unknown): unknown {
  return error instanceof PodsonarError && error.cause instanceof Error && 'code' in error.cause
    ? error.cause.code
    : undefined
}
