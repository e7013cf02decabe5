/** Containers and pods for unit tests of the exporter. */
import type { Container, Pod } from '../../src/exporter/core/containers.ts'

export function pod(name: string, rest: Partial<Pod> = {}): Pod {
  return { name, namespace: 'default', uid: `uid-${name}`, labels: {}, annotations: {}, ...rest }
}

export function container(name: string, rest: Partial<Container> = {}): Container {
  return {
    ...{ id: `id-${name}`, name, image: 'image', pod: undefined, pid: 100 },
    ...{ networkNamespace: 5, cgroupId: 0 },
    cgroups: { unified: `/pods/uid/${name}`, byController: new Map() },
    ...rest,
  }
}
