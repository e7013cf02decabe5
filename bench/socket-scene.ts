/** What the socket benchmark measures on: many network namespaces with many sockets. */
import { Containerd } from '../lab/containerd.ts'
import { BareNamespaces, networkNamespace, SocketHolder } from '../lab/network-namespace.ts'
import { snapshotOf, type Container, type Snapshot } from '../src/exporter/core/containers.ts'

/** A process may open 20,000 files on some machines; it needs a few for itself. */
const socketsPerHolder = 18_000

/** Namespaces, a process of each, and the sockets in them. */
export class SocketScene implements AsyncDisposable {
  readonly snapshot: Snapshot
  readonly pids: readonly number[]
  readonly #owned: AsyncDisposableStack

  private constructor(owned: AsyncDisposableStack, pids: readonly number[]) {
    this.#owned = owned
    this.pids = pids
    this.snapshot = snapshotOf(pids.map(containerOf), undefined)
  }

  /** Real pods on a private containerd. */
  static async pods(count: number): Promise<SocketScene> {
    await using owned = new AsyncDisposableStack()
    const containerd = owned.use(await Containerd.start())
    const pids: number[] = []
    for (let k = 0; k < count; k += 1) {
      const { containers } = await containerd.runPod({ name: `bench-${k}` })
      pids.push(...containers.map(({ pid }) => pid))
    }
    return new SocketScene(owned.move(), pids)
  }

  /** Namespaces with a sleeping process each. */
  static async bare(count: number): Promise<SocketScene> {
    await using owned = new AsyncDisposableStack()
    const namespaces = owned.use(await BareNamespaces.create(count))
    return new SocketScene(owned.move(), namespaces.pids)
  }

  /** Opens sockets: in each namespace connections to a few dozen ports of its own. They last as long as what is returned. */
  async fill(sockets: number): Promise<AsyncDisposable> {
    await using owned = new AsyncDisposableStack()
    const each = Math.round(sockets / this.pids.length)
    const ports = Math.min(50, Math.floor(each / 4))
    const connections = Math.floor((each - ports) / 2)
    const atOnce = Math.max(1, Math.floor(socketsPerHolder / Math.max(1, each)))
    for (let at = 0; each > 0 && at < this.pids.length; at += atOnce)
      owned.use(await SocketHolder.connections(connections, this.pids.slice(at, at + atOnce), ports))
    return owned.move()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}

function containerOf(pid: number): Container {
  const pod = { name: `bench-${pid}`, namespace: 'bench', uid: String(pid), labels: {}, annotations: {} }
  return {
    ...{ id: String(pid), name: 'main', image: 'busybox', pod, pid, startTime: '0', cgroupId: 0 },
    networkNamespace: networkNamespace(pid),
    cgroups: { unified: undefined, byController: new Map() },
  }
}
