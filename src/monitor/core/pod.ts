/** What is known of the pod that is looked at. */
import type { ConnectedContainer, ConnectedPod } from '../../exporter/core/sidecar/pod.ts'

export interface MonitoredContainer extends ConnectedContainer {
  readonly image: string
  /** Of its first process. */
  readonly pid: number
}

export interface MonitoredPod extends ConnectedPod {
  readonly node: string
  /** As `containerd 1.6.20`. */
  readonly runtime: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** A process in its network namespace. */
  readonly pid: number
  readonly containers: readonly MonitoredContainer[]
}
