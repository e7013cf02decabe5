/** Finds the container runtimes of this node. */
import { existsSync } from 'node:fs'
import { describeError, PodsonarError } from '../../common/errors.ts'
import type { RuntimeChoice } from '../../config/exporter-settings.ts'
import { CriRuntime } from './cri.ts'
import { DockerRuntime } from './docker.ts'
import type { ContainerRuntime } from './runtime.ts'

/**
 * Where runtimes listen: the usual places, those of k3s, k0s and microk8s included. cri-dockerd comes before Docker: it
 * knows more of the containers that both list.
 */
const usualPaths: readonly { readonly runtime: Exclude<RuntimeChoice, 'auto'>; readonly path: string }[] = [
  { runtime: 'containerd', path: '/run/containerd/containerd.sock' },
  { runtime: 'containerd', path: '/run/k3s/containerd/containerd.sock' },
  { runtime: 'containerd', path: '/run/k0s/containerd.sock' },
  { runtime: 'containerd', path: '/var/snap/microk8s/common/run/containerd.sock' },
  { runtime: 'cri-o', path: '/run/crio/crio.sock' },
  { runtime: 'cri-dockerd', path: '/run/cri-dockerd.sock' },
  { runtime: 'docker', path: '/run/docker.sock' },
]

/** Below which usual paths are: on this machine, and where a pod has its node's folders. */
const roots = ['', '/host']

/** How long a runtime may take to tell its version, in milliseconds. */
const connectMs = 3_000

/** A place where a runtime was looked for, and why it is not used. */
export interface FailedEndpoint {
  readonly endpoint: string
  readonly reason: string
}

export interface Detection {
  readonly runtimes: ContainerRuntime[]
  readonly failures: FailedEndpoint[]
}

export interface DetectOptions {
  /** What to look for. */
  readonly choice: RuntimeChoice
  /** Where to look; each must be there. Undefined: the usual places, of which any may be missing. */
  readonly endpoints: readonly string[] | undefined
  /** Endpoints that are connected already. */
  readonly known: ReadonlySet<string>
  /** Gives up. */
  readonly signal: AbortSignal
}

/** Connects to what answers. */
export async function detectRuntimes({
  choice,
  endpoints,
  known,
  signal,
}: DetectOptions): Promise<Detection> {
  const candidates = (endpoints ?? usualEndpoints(choice)).filter((endpoint) => !known.has(endpoint))
  const results = await Promise.allSettled(candidates.map((endpoint) => connect(choice, endpoint, signal)))
  const detection: Detection = { runtimes: [], failures: [] }
  for (const [index, result] of results.entries()) {
    if (result.status === 'fulfilled') detection.runtimes.push(result.value)
    else
      detection.failures.push({
        endpoint: candidates[index] ?? '',
        reason: describeError(result.reason),
      })
  }
  return detection
}

function usualEndpoints(choice: RuntimeChoice): string[] {
  return roots.flatMap((root) =>
    usualPaths
      .filter(({ runtime, path }) => (choice === 'auto' || runtime === choice) && existsSync(root + path))
      .map(({ path }) => `unix://${root}${path}`),
  )
}

/** @throws PodsonarError `runtime_failed` */
async function connect(
  choice: RuntimeChoice,
  endpoint: string,
  signal: AbortSignal,
): Promise<ContainerRuntime> {
  if (!existsSync(endpoint.replace('unix://', '')))
    throw new PodsonarError(
      'runtime_failed',
      `Cannot connect to a container runtime at ${endpoint}: there is no such socket, expected one that serves CRI v1 or Docker's API`,
    )
  const isDocker = choice === 'docker' || (choice === 'auto' && endpoint.endsWith('/docker.sock'))
  if (isDocker) return DockerRuntime.connect(endpoint, connectMs, signal)
  try {
    return await CriRuntime.connect(endpoint, connectMs, signal)
  } catch (error) {
    if (choice !== 'auto' || signal.aborted) throw error
    // A Docker under another name; if it is none either, what CRI said counts.
    return DockerRuntime.connect(endpoint, connectMs, signal).catch(() => {
      throw error
    })
  }
}
