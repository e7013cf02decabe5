import type { NetworkNamespace, Pod, Snapshot } from './core/containers.ts'
import { parseFibTrie, parseIfInet6 } from './core/parse-addresses.ts'
import type { Procfs } from './procfs.ts'
import { eachNamespace } from './slices.ts'

/** Read once: a pod keeps its addresses. They last as long as the namespace is the same object. */
const known = new WeakMap<NetworkNamespace, readonly string[]>()

/**
 * Which pod of this node has an address, read for the page alone: two small files a pod. Pods whose files cannot be read are
 * left out.
 *
 * @throws what `signal` is aborted with
 */
export async function podAddresses(
  { namespaces }: Snapshot,
  procfs: Procfs,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Pod>> {
  const ofPods = namespaces.filter(({ host, pod }) => !host && pod !== undefined)
  const unknown = ofPods.filter((namespace) => !known.has(namespace))
  const ignore = (): void => undefined
  await eachNamespace(unknown, signal, ignore, (namespace, pid) => {
    const addresses = addressesOf(procfs, pid)
    // One whose network is not there yet is looked at again.
    if (addresses.length > 0) known.set(namespace, addresses)
  })
  const pods = new Map<string, Pod>()
  for (const namespace of ofPods)
    for (const address of known.get(namespace) ?? [])
      if (namespace.pod !== undefined) pods.set(address, namespace.pod)
  return pods
}

/**
 * Addresses in a process's network namespace, without loopback.
 *
 * @throws what reading /proc throws for a process that is gone
 */
export function addressesOf(procfs: Procfs, pid: number): string[] {
  return [
    ...parseFibTrie(procfs.text(pid, 'net/fib_trie')),
    ...parseIfInet6(procfs.optionalText(pid, 'net/if_inet6') ?? ''),
  ]
}
