/** What is known of the pod that is looked at, and which of its containers is a sidecar. */

export interface MonitoredContainer {
  readonly name: string
  readonly image: string
  /** Of its first process. */
  readonly pid: number
  /** Ids of its cgroup and of those below. */
  readonly cgroupIds: readonly number[]
  readonly isSidecar: boolean
}

export interface MonitoredPod {
  readonly node: string
  /** As `containerd 1.6.20`. */
  readonly runtime: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** Without loopback. */
  readonly addresses: readonly string[]
  /** Inode of its network namespace, and a process in it. */
  readonly networkNamespace: number
  readonly pid: number
  readonly containers: readonly MonitoredContainer[]
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
export function isOwnAddress({ addresses }: MonitoredPod, address: string): boolean {
  return address.startsWith('127.') || address === '::1' || addresses.includes(address)
}

/** The container of a cgroup; undefined for one that is not of the pod. */
export function containerOf({ containers }: MonitoredPod, cgroupId: number): MonitoredContainer | undefined {
  return containers.find(({ cgroupIds }) => cgroupIds.includes(cgroupId))
}
