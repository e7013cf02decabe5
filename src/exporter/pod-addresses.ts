import type { Pod, Snapshot } from './core/containers.ts'
import { parseFibTrie, parseIfInet6 } from './core/parse-addresses.ts'
import type { Procfs } from './procfs.ts'
import { eachNamespace } from './slices.ts'

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
  const pods = new Map<string, Pod>()
  const ofPods = namespaces.filter(({ host }) => !host)
  const ignore = (): void => undefined
  await eachNamespace(ofPods, signal, ignore, ({ pod }, pid) => {
    if (pod === undefined) return
    for (const address of addressesOf(procfs, pid)) pods.set(address, pod)
  })
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
