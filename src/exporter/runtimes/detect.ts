/** Finds the container runtimes of this node. */
import { existsSync } from 'node:fs'
import { describeError, PodsonarError } from '../../common/errors.ts'
import { CriRuntime } from './cri.ts'
import type { ContainerRuntime } from './runtime.ts'

const usualPaths = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/run/k0s/containerd.sock',
  '/var/snap/microk8s/common/run/containerd.sock',
  '/run/crio/crio.sock',
  '/run/cri-dockerd.sock',
]

/**
 * Where runtimes listen: the usual places, those of k3s, k0s and microk8s included, on this machine and below /host, where
 * a pod has its node's folders.
 */
const usualEndpoints: readonly string[] = ['', '/host'].flatMap((root) =>
  usualPaths.map((path) => `unix://${root}${path}`),
)

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

/**
 * Connects to what answers.
 *
 * @param endpoints where to look; each must be there. Undefined: the usual places, of which any may be missing
 * @param known endpoints that are connected already
 * @param signal gives up
 */
export async function detectRuntimes(
  endpoints: readonly string[] | undefined,
  known: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Detection> {
  const candidates = (endpoints ?? usualEndpoints.filter((endpoint) => existsSync(pathOf(endpoint)))).filter(
    (endpoint) => !known.has(endpoint),
  )
  const results = await Promise.allSettled(candidates.map((endpoint) => connect(endpoint, signal)))
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

/** @throws PodsonarError `runtime_failed` */
async function connect(endpoint: string, signal: AbortSignal): Promise<ContainerRuntime> {
  const path = pathOf(endpoint)
  if (!existsSync(path))
    throw new PodsonarError(
      'runtime_failed',
      `Cannot connect to a container runtime at ${endpoint}: there is no such socket, expected one that serves CRI v1`,
    )
  return CriRuntime.connect(endpoint, connectMs, signal)
}

function pathOf(endpoint: string): string {
  return endpoint.replace('unix://', '')
}
