/** Container runtimes that serve the Container Runtime Interface v1: containerd, CRI-O, cri-dockerd. */
import { fileURLToPath } from 'node:url'
import {
  Client,
  credentials,
  status,
  type ClientUnaryCall,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { PodsonarError } from '../../common/errors.ts'
import type { ListedContainer, Pod } from '../core/containers.ts'
import { pidOf } from '../core/cri-info.ts'
import type { ContainerRuntime, WritableLayer } from './runtime.ts'

/** Loaded when the first runtime is: it takes 20 ms. */
let service: ServiceDefinition | undefined

function runtimeService(): ServiceDefinition {
  const file = fileURLToPath(new URL('../../../proto/cri-runtime-v1.proto', import.meta.url))
  service ??= loadSync(file, { longs: Number, enums: String, defaults: true })[
    'runtime.v1.RuntimeService'
  ] as ServiceDefinition
  return service
}

interface Sandbox {
  readonly id: string
  readonly metadata: { readonly name: string; readonly uid: string; readonly namespace: string } | null
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

interface CriContainer {
  readonly id: string
  readonly podSandboxId: string
  readonly metadata: { readonly name: string } | null
  readonly image: { readonly image: string } | null
  readonly imageRef: string
  readonly labels: Readonly<Record<string, string>>
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
      const version = await runtime.#call<{ runtimeName: string; runtimeVersion: string }>(
        'Version',
        {},
        timeoutMs,
      )
      runtime.#name = version.runtimeName
      runtime.#version = version.runtimeVersion
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

  async list(timeoutMs: number): Promise<ListedContainer[]> {
    const [{ containers }, { items }] = await Promise.all([
      this.#call<{ containers: CriContainer[] }>(
        'ListContainers',
        { filter: { state: { state: 'CONTAINER_RUNNING' } } },
        timeoutMs,
      ),
      this.#call<{ items: Sandbox[] }>('ListPodSandbox', {}, timeoutMs),
    ])
    const pods = new Map(items.map((sandbox) => [sandbox.id, podOf(sandbox)]))
    return containers.map((container) => ({
      id: container.id,
      name: container.metadata?.name ?? container.labels['io.kubernetes.container.name'] ?? '',
      image: container.image?.image || container.imageRef,
      // A sandbox that came between the two calls: the container's own labels say the rest.
      pod: pods.get(container.podSandboxId) ?? podOf({ ...container, metadata: null, annotations: {} }),
    }))
  }

  async pid(id: string, timeoutMs: number): Promise<number | undefined> {
    try {
      const { info } = await this.#call<{ info: Record<string, string> }>(
        'ContainerStatus',
        { containerId: id, verbose: true },
        timeoutMs,
      )
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

  #call<T>(method: string, request: object, timeoutMs: number): Promise<T> {
    const definition = runtimeService()[method]
    if (definition === undefined) throw new TypeError(`The CRI proto file has no ${method}`)
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize as (bytes: Buffer) => T,
        request,
        { deadline: Date.now() + timeoutMs },
        (error, response) => {
          this.#calls.delete(call)
          if (error === null && response !== undefined) resolve(response)
          else reject(this.#failure(method, error, timeoutMs))
        },
      )
      this.#calls.add(call)
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

/** Labels that the kubelet puts on every sandbox and container, beside the user's. */
const kubeletLabels = 'io.kubernetes.'

function podOf({ metadata, labels, annotations }: Omit<Sandbox, 'id'>): Pod {
  return {
    name: metadata?.name ?? labels['io.kubernetes.pod.name'] ?? '',
    namespace: metadata?.namespace ?? labels['io.kubernetes.pod.namespace'] ?? '',
    uid: metadata?.uid ?? labels['io.kubernetes.pod.uid'] ?? '',
    labels: Object.fromEntries(Object.entries(labels).filter(([name]) => !name.startsWith(kubeletLabels))),
    annotations,
  }
}
