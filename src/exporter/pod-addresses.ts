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
    const ipv4 = parseFibTrie(procfs.text(pid, 'net/fib_trie'))
    const ipv6 = parseIfInet6(procfs.optionalText(pid, 'net/if_inet6') ?? '')
    for (const address of [...ipv4, ...ipv6]) pods.set(address, pod)
  })
  return pods
}
