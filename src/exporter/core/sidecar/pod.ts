/** What is known of a pod whose connections are followed, and which of its containers is a sidecar. */

export interface ConnectedContainer {
  readonly name: string
  /** Ids of its cgroup and of those below. */
  readonly cgroupIds: readonly number[]
  readonly isSidecar: boolean
}

export interface ConnectedPod {
  /** Inode of its network namespace. */
  readonly networkNamespace: number
  /** Without loopback. */
  readonly addresses: readonly string[]
  readonly containers: readonly ConnectedContainer[]
}

/** Which containers are proxies that stand beside a service. */
export interface SidecarRules {
  /** Names of containers. */
  readonly names: readonly string[]
  /** What the repository of an image ends with, as `istio/proxyv2`. */
  readonly images: readonly string[]
}

export function isSidecar({ names, images }: SidecarRules, name: string, image: string): boolean {
  if (names.includes(name)) return true
  const repository = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
  return images.some((one) => repository === one || repository.endsWith(`/${one}`))
}

/** Whether an address is the pod's own: it talks to itself. */
export function isOwnAddress({ addresses }: ConnectedPod, address: string): boolean {
  return address.startsWith('127.') || address === '::1' || addresses.includes(address)
}

/** The container of a cgroup; undefined for one that is not of the pod. */
export function containerOf({ containers }: ConnectedPod, cgroupId: number): ConnectedContainer | undefined {
  return containers.find(({ cgroupIds }) => cgroupIds.includes(cgroupId))
}
