import type { Pod } from './containers.ts'

/** Labels that name what a pod is part of, the most telling first. */
const nameLabels = ['app.kubernetes.io/name', 'app', 'k8s-app', 'name'] as const

/** The letters of Kubernetes' random suffixes. */
const random = '[bcdfghjklmnpqrstvwxz2456789]'
/** What controllers add to their name: a Deployment two parts, a DaemonSet or Job one, a StatefulSet a number. */
const suffixes = [
  new RegExp(`-${random}{8,10}-${random}{5}$`),
  new RegExp(`-${random}{5}$`),
  /-\d+$/,
] as const

/** What a pod is part of, as well as it can be told without the API: by its labels, else by its name. */
export function workloadName({ name, labels }: Pick<Pod, 'name' | 'labels'>): string {
  for (const label of nameLabels) {
    const value = labels[label]
    if (value) return value
  }
  for (const suffix of suffixes) {
    const rest = name.replace(suffix, '')
    if (rest !== name && rest !== '') return rest
  }
  return name
}
