/** Which pods' connections may be short-cut, and beside whom none may. */
import type { Pod } from '../containers.ts'

/** The annotation that chooses a pod. Nothing else does: the feature alters traffic. */
const sockopsAnnotation = 'podsonar.io/sockops'

export function isShortCut(pod: Pod): boolean {
  return pod.annotations[sockopsAnnotation] === 'true'
}

/** Interfaces by which Cilium is known on a node. */
const ciliumInterfaces = /^cilium_/

/** The interface that shows that Cilium runs on the node; undefined: none. */
export function ciliumInterface(interfaces: readonly string[]): string | undefined {
  return interfaces.find((name) => ciliumInterfaces.test(name))
}
