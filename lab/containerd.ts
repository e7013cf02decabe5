/**
 * A private containerd with real pods, on a machine that need not have one: own root, state, socket and bridge. Needs
 * root. Programs are Debian's, unpacked. Disposing of it removes pods, mounts, namespaces, cgroups and the bridge.
 */
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { mapConcurrent } from '../src/common/concurrent.ts'
import { Bridge } from './bridge.ts'
import { guardShims, removeCgroups, removeMounts, stopShims } from './container-leftovers.ts'
import { Cri } from './cri.ts'
import { TemporaryFolder } from './files.ts'
import { unpacked } from './needs.ts'
import { imageName, writeImage } from './oci-image.ts'
import { Process, run } from './process.ts'
import { waitFor } from './wait.ts'

/** One container of a pod. It runs busybox; programs of this machine run in it once /usr is mounted. */
export interface ContainerSpec {
  readonly name: string
  /** @default sleeps */
  readonly command?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Host paths by container path, read-only. */
  readonly mounts?: Readonly<Record<string, string>>
}

export interface PodSpec {
  readonly name: string
  /** @default default */
  readonly namespace?: string
  /** @default a new one; static pods have the hash of their manifest */
  readonly uid?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  /** Command of the only container, named `main`. Instead of `containers`. */
  readonly command?: readonly string[]
  readonly containers?: readonly ContainerSpec[]
  readonly hostNetwork?: boolean
  /** All containers of the pod see each other's processes. */
  readonly sharePid?: boolean
}

/** A running container. */
export interface LabContainer {
  readonly id: string
  readonly name: string
  readonly pid: number
}

/** A running pod. */
export interface LabPod {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly sandboxId: string
  /** First IPv4 address; the machine's own with hostNetwork, where it is empty. */
  readonly ip: string
  /** IPv6 address; empty with hostNetwork. */
  readonly ipv6: string
  readonly containers: readonly LabContainer[]
}

export class Containerd implements AsyncDisposable {
  /** Path of the CRI socket. */
  readonly socket: string
  readonly bridge: Bridge
  readonly #owned: AsyncDisposableStack
  readonly #folder: string
  readonly #programs: string
  readonly #cgroup: string
  readonly #cri: Cri
  #process: Process

  private constructor(options: {
    owned: AsyncDisposableStack
    folder: string
    programs: string
    bridge: Bridge
    started: Process
  }) {
    this.#owned = options.owned
    this.#folder = options.folder
    this.#programs = options.programs
    this.#process = options.started
    this.bridge = options.bridge
    this.socket = socketIn(options.folder)
    this.#cgroup = `/podsonar-lab-${options.bridge.name}`
    this.#cri = new Cri(this.socket)
  }

  /**
   * Starts it, and waits until it has its image and can run pods.
   *
   * @param options.mtu of pods' interfaces. @default 1500
   */
  static async start({ mtu }: { readonly mtu?: number } = {}): Promise<Containerd> {
    await using owned = new AsyncDisposableStack()
    const programs = await unpacked('containerd')
    const busybox = join(programs, 'bin/busybox')
    const { path: folder } = owned.use(await TemporaryFolder.create('containerd'))
    const bridge = owned.use(await Bridge.create(join(folder, 'cni'), busybox, mtu))
    await writeFile(join(folder, 'config.toml'), await configuration(folder, programs))
    owned.use(guardShims(socketIn(folder)))
    const started = await startProcess(folder, programs)
    const containerd = new Containerd({ owned: owned.move(), folder, programs, bridge, started })
    try {
      await containerd.#ready()
      const image = await writeImage(folder, busybox)
      await containerd.ctr(['images', 'import', image])
      await waitFor('containerd to have its image', async () => {
        const request = { image: { image: imageName } }
        const { image: found } = await containerd.#cri.call<{ image?: object | null }>(
          'ImageService',
          'ImageStatus',
          request,
        )
        return found
      })
    } catch (error) {
      await containerd[Symbol.asyncDispose]()
      throw error
    }
    return containerd
  }

  /** Starts a pod and its containers; takes 0.1 to 0.3 s. */
  async runPod(spec: PodSpec): Promise<LabPod> {
    const { name, namespace = 'default', uid = randomUUID(), labels = {}, annotations = {} } = spec
    const identity = {
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': uid,
    }
    const namespaceOptions = {
      network: spec.hostNetwork === true ? 'NODE' : 'POD',
      pid: spec.sharePid === true ? 'POD' : 'CONTAINER',
    }
    const config = {
      metadata: { name, uid, namespace, attempt: 0 },
      hostname: spec.hostNetwork === true ? '' : name.slice(0, 63),
      logDirectory: join(this.#folder, 'logs', uid),
      labels: { ...labels, ...identity },
      annotations,
      linux: { cgroupParent: `${this.#cgroup}/pod${uid}`, securityContext: { namespaceOptions } },
    }
    const { podSandboxId: sandboxId } = await this.#runtime<{ podSandboxId: string }>('RunPodSandbox', {
      config,
    })
    const containers = spec.containers ?? [
      { name: 'main', ...(spec.command === undefined ? {} : { command: spec.command }) },
    ]
    const started: LabContainer[] = []
    for (const container of containers)
      started.push(await this.#startContainer(sandboxId, config, identity, container))
    const { status } = await this.#runtime<{
      status: { network: { ip: string; additionalIps?: { ip: string }[] } | null }
    }>('PodSandboxStatus', { podSandboxId: sandboxId })
    const addresses = [
      status.network?.ip ?? '',
      ...(status.network?.additionalIps ?? []).map((address) => address.ip),
    ]
    return {
      ...{ name, namespace, uid, sandboxId, containers: started },
      ip: addresses.find((address) => address.includes('.')) ?? '',
      ipv6: addresses.find((address) => address.includes(':')) ?? '',
    }
  }

  /** Starts one more container in a pod that runs, as the kubelet does after a crash. */
  async addContainer(pod: LabPod, container: ContainerSpec): Promise<LabContainer> {
    const identity = {
      'io.kubernetes.pod.name': pod.name,
      'io.kubernetes.pod.namespace': pod.namespace,
      'io.kubernetes.pod.uid': pod.uid,
    }
    const config = {
      metadata: { name: pod.name, uid: pod.uid, namespace: pod.namespace, attempt: 0 },
      logDirectory: join(this.#folder, 'logs', pod.uid),
      linux: { cgroupParent: `${this.#cgroup}/pod${pod.uid}` },
    }
    return this.#startContainer(pod.sandboxId, config, identity, container)
  }

  /** Kills a container and forgets it. */
  async removeContainer({ id }: LabContainer): Promise<void> {
    await this.#runtime('StopContainer', { containerId: id })
    await this.#runtime('RemoveContainer', { containerId: id })
  }

  /** Kills a pod and forgets it. */
  async removePod({ sandboxId }: Pick<LabPod, 'sandboxId'>): Promise<void> {
    await this.#runtime('StopPodSandbox', { podSandboxId: sandboxId })
    await this.#runtime('RemovePodSandbox', { podSandboxId: sandboxId })
  }

  /** Ends containerd the hard way; pods live on, as they do when a node's containerd is upgraded. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#process.exited
  }

  /** Starts it again after {@link kill}, on the same socket and state. */
  async restart(): Promise<void> {
    this.#process = await startProcess(this.#folder, this.#programs)
    await this.#ready()
  }

  /** Freezes (SIGSTOP) or thaws (SIGCONT) containerd itself, not its pods. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(name)
  }

  /** Runs containerd's own client in the Kubernetes namespace. */
  ctr(args: readonly string[]): Promise<string> {
    return run(join(this.#programs, 'usr/bin/ctr'), ['-a', this.socket, '-n', 'k8s.io', ...args])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGCONT')
    if (this.#process.running) {
      try {
        const { items = [] } = await this.#runtime<{ items?: { id: string }[] }>('ListPodSandbox', {})
        // A few at a time: hundreds at once take longer than a call may.
        await mapConcurrent(items, 8, ({ id }) => this.removePod({ sandboxId: id }))
      } catch (error) {
        console.warn(`podsonar lab: containerd did not remove its pods: ${String(error)}`)
      }
    }
    this.#cri[Symbol.dispose]()
    await this.#process[Symbol.asyncDispose]()
    await stopShims(this.socket)
    await removeMounts(this.#folder)
    await removeCgroups(this.#cgroup)
    await this.#owned.disposeAsync()
  }

  async #startContainer(
    sandboxId: string,
    sandboxConfig: { linux: object },
    identity: Readonly<Record<string, string>>,
    { name, command = [], env = {}, mounts = {} }: ContainerSpec,
  ): Promise<LabContainer> {
    const labels = { ...identity, 'io.kubernetes.container.name': name }
    const config = {
      metadata: { name, attempt: 0 },
      image: { image: imageName },
      command,
      envs: Object.entries(env).map(([key, value]) => ({ key, value })),
      mounts: Object.entries(mounts).map(([containerPath, hostPath]) => ({
        ...{ containerPath, hostPath, readonly: true },
      })),
      labels,
      logPath: `${name}.log`,
      linux: sandboxConfig.linux,
    }
    const { containerId: id } = await this.#runtime<{ containerId: string }>('CreateContainer', {
      podSandboxId: sandboxId,
      config,
      sandboxConfig,
    })
    await this.#runtime('StartContainer', { containerId: id })
    const { info } = await this.#runtime<{ info: Record<string, string> }>('ContainerStatus', {
      containerId: id,
      verbose: true,
    })
    const { pid } = JSON.parse(info['info'] ?? '{}') as { pid?: number }
    if (pid === undefined) throw new Error(`containerd does not say the process id of container ${name}`)
    return { id, name, pid }
  }

  #runtime<T = unknown>(method: string, request: object): Promise<T> {
    return this.#cri.call<T>('RuntimeService', method, request)
  }

  async #ready(): Promise<void> {
    await waitFor('containerd to answer', async () => {
      if (!this.#process.running) throw new Error(`containerd ended: ${this.#process.stderr.slice(-2_000)}`)
      return (await this.#runtime<object | undefined>('ListPodSandbox', {})) !== undefined
    })
  }
}

function socketIn(folder: string): string {
  return join(folder, 'containerd.sock')
}

function startProcess(folder: string, programs: string): Promise<Process> {
  const path = ['usr/bin', 'usr/sbin', 'bin'].map((name) => join(programs, name)).join(delimiter)
  return Process.start(
    'containerd',
    join(programs, 'usr/bin/containerd'),
    ['--config', join(folder, 'config.toml')],
    {
      env: { ...process.env, PATH: `${path}${delimiter}${process.env['PATH'] ?? '/usr/sbin:/usr/bin'}` },
    },
  )
}

/** containerd's config.toml. JSON strings are TOML strings. */
async function configuration(folder: string, programs: string): Promise<string> {
  const inFolder = (name: string): string => JSON.stringify(join(folder, name))
  return `version = 2
root = ${inFolder('root')}
state = ${inFolder('state')}
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = ${JSON.stringify(socketIn(folder))}
[plugins."io.containerd.internal.v1.opt"]
  path = ${inFolder('opt')}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = ${JSON.stringify(imageName)}
  # A machine that is a container itself lacks CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  disable_tcp_service = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${(await overlayWorks(folder)) ? 'overlayfs' : 'native'}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${JSON.stringify(join(programs, 'usr/lib/cni'))}
    conf_dir = ${inFolder('cni')}
`
}

/** Whether an overlay can be mounted in `folder`: not where that lies on an overlay itself, as in many CI machines. */
async function overlayWorks(folder: string): Promise<boolean> {
  const at = (name: string): string => join(folder, 'overlay-probe', name)
  await run('mkdir', ['-p', at('lower'), at('upper'), at('work'), at('merged')])
  try {
    const layers = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`
    await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, at('merged')])
    await run('umount', [at('merged')])
    return true
  } catch {
    return false
  }
}
