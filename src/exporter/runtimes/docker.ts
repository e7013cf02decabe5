/** Docker, over its Engine API: Kubernetes' containers and plain ones. */
import { Agent, request } from '../../common/node-http.ts'
import { describeError, PodsonarError } from '../../common/errors.ts'
import type { Listing } from '../core/containers.ts'
import { dockerPid, isDockerList, listDockerContainers } from '../core/docker-containers.ts'
import type { ContainerRuntime, WritableLayer } from './runtime.ts'

/** A node with 1,000 containers answers with 2 MiB. */
const maxAnswerBytes = 64 << 20

interface Answer {
  readonly status: number
  readonly body: unknown
}

export class DockerRuntime implements ContainerRuntime {
  readonly name = 'docker'
  readonly endpoint: string
  readonly #agent = new Agent({ keepAlive: true })
  readonly #disposed = new AbortController()
  #version = ''

  private constructor(endpoint: string) {
    this.endpoint = endpoint
  }

  /**
   * Asks for the version.
   *
   * @param endpoint `unix:///path`
   * @param signal gives up
   * @throws PodsonarError `runtime_failed` when nobody answers, or not as Docker does
   */
  static async connect(endpoint: string, timeoutMs: number, signal: AbortSignal): Promise<DockerRuntime> {
    const docker = new DockerRuntime(endpoint)
    const giveUp = (): void => {
      docker[Symbol.dispose]()
    }
    signal.addEventListener('abort', giveUp)
    try {
      await docker.identify(timeoutMs)
      return docker
    } catch (error) {
      docker[Symbol.dispose]()
      throw error
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  get version(): string {
    return this.#version
  }

  async identify(timeoutMs: number): Promise<void> {
    const { body } = await this.#get('/version', timeoutMs)
    if (typeof body !== 'object' || body === null || !('ApiVersion' in body))
      throw this.#failure('/version', 'another answer')
    this.#version = 'Version' in body && typeof body.Version === 'string' ? body.Version : ''
  }

  async list(timeoutMs: number): Promise<Listing> {
    const { body } = await this.#get('/containers/json', timeoutMs)
    if (!isDockerList(body)) throw this.#failure('/containers/json', 'another answer')
    return listDockerContainers(body)
  }

  async pid(id: string, timeoutMs: number): Promise<number | undefined> {
    const { status, body } = await this.#get(`/containers/${id}/json`, timeoutMs)
    return status === 404 ? undefined : dockerPid(body)
  }

  /** A sandbox is a container to Docker. */
  sandboxPid(id: string, timeoutMs: number): Promise<number | undefined> {
    return this.pid(id, timeoutMs)
  }

  /** Docker walks the layer's files for it, which may take minutes: not done. */
  writableLayers(): Promise<ReadonlyMap<string, WritableLayer>> {
    return Promise.resolve(new Map())
  }

  [Symbol.dispose](): void {
    this.#disposed.abort()
    this.#agent.destroy()
  }

  #get(path: string, timeoutMs: number): Promise<Answer> {
    const signal = AbortSignal.any([this.#disposed.signal, AbortSignal.timeout(timeoutMs)])
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        const late = error instanceof Error && error.name === 'AbortError'
        reject(this.#failure(path, late ? `no answer within ${timeoutMs} ms` : describeError(error), error))
      }
      const call = request(
        {
          ...{ socketPath: this.endpoint.replace('unix://', ''), path, agent: this.#agent, signal },
          headers: { host: 'docker' },
        },
        (response) => {
          const chunks: Buffer[] = []
          let length = 0
          response.on('data', (chunk: Buffer) => {
            chunks.push(chunk)
            length += chunk.length
            if (length > maxAnswerBytes) response.destroy(new Error('more than 64 MiB'))
          })
          response.on('error', fail)
          response.on('end', () => {
            const status = response.statusCode ?? 0
            const text = Buffer.concat(chunks).toString('utf8')
            if (status !== 200 && status !== 404) {
              fail(new Error(`status ${status} ${text.slice(0, 200)}`))
              return
            }
            try {
              resolve({ status, body: JSON.parse(text) as unknown })
            } catch (error) {
              fail(error)
            }
          })
        },
      )
      call.on('error', fail)
      call.end()
    })
  }

  #failure(path: string, why: string, cause?: unknown): PodsonarError {
    return new PodsonarError(
      'runtime_failed',
      `Cannot get ${path} of docker at ${this.endpoint}: ${why}, expected Docker's Engine API`,
      { cause },
    )
  }
}
