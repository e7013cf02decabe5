/** Which pods' requests are watched. */
import { matchesSelector, type LabelSelector } from '../../../common/label-selector.ts'
import type { Pod } from '../containers.ts'

/** The annotation that chooses a pod, or, with `false`, keeps it out. */
const observeAnnotation = 'podsonar.io/observe'

export interface Choice {
  /** `*` stands for all; undefined: not chosen by namespace. */
  readonly namespaces: readonly string[] | undefined
  /** Undefined: not chosen by label. */
  readonly selector: LabelSelector | undefined
}

/** The annotation decides where there is one; else namespaces and selector, both where both are set; else no pod is chosen. */
export function isChosen({ namespaces, selector }: Choice, pod: Pod): boolean {
  const annotation = pod.annotations[observeAnnotation]
  if (annotation === 'true' || annotation === 'false') return annotation === 'true'
  if (namespaces === undefined && selector === undefined) return false
  const inNamespace =
    namespaces === undefined || namespaces.includes('*') || namespaces.includes(pod.namespace)
  return inNamespace && (selector === undefined || matchesSelector(selector, pod.labels))
}
