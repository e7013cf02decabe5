/** The node's end of a pod's cable, found by index and namespace, both ways: names and numbers as text mean nothing. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { PodsonarError } from '../common/errors.ts'
import { siblingModule } from '../common/worker.ts'
import type { OpenNamespace } from './namespace.ts'

/** What the worker is asked. */
export interface VethQuestion {
  /** Descriptors of the namespaces, which stay open meanwhile. */
  readonly pod: number
  readonly host: number
  /** The interface in the pod. */
  readonly device: string
}

/** What it answers: the name of the interface in the node's namespace, or why there is none. */
export type VethAnswer = { readonly name: string } | { readonly problem: string }

/**
 * The name of the interface of the node that a pod's interface is connected with. A thread of its own enters both
 * namespaces to ask, and ends with that.
 *
 * @throws PodsonarError `no_veth` when the other end is not in the node's namespace, or is no veth
 */
export async function hostVeth(pod: OpenNamespace, host: OpenNamespace, device: string): Promise<string> {
  const question: VethQuestion = { pod: pod.descriptor, host: host.descriptor, device }
  const worker = new Worker(siblingModule(import.meta.url, './veth-worker'), { workerData: question })
  const [answer] = (await once(worker, 'message')) as [VethAnswer]
  await worker.terminate()
  if ('name' in answer) return answer.name
  throw new PodsonarError(
    'no_veth',
    `Cannot find the node's end of ${device}: ${answer.problem}, expected a veth pair with the node; interface=any captures in the pod`,
  )
}
