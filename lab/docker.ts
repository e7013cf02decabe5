/**
 * A private Docker on a machine that need not have one: own data, state and socket, no network set up. Needs root.
 * Programs are Debian's, unpacked. Disposing of it removes containers, mounts and cgroups.
 */
import { createReadStream, readdirSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { delimiter, join } from 'node:path'
import { guardShims, removeCgroups, removeMounts, stopShims } from './container-leftovers.ts'
import { TemporaryFolder } from './files.ts'
import { unpacked } from './needs.ts'
import { writeRootfs } from './oci-image.ts'
import { Process, run } from './process.ts'
import { waitFor } from './wait.ts'

export interface DockerSpec {
  readonly name: string
  readonly command: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  /** `none`: a network namespace of its own; `host`; or `container:<id>`. @default none */
  readonly network?: string
  /** Host paths by container path, read-only. */
  readonly mounts?: Readonly<Record<string, string>>
  /** @default busybox */
  readonly image?: string
  /** More of the Engine API's container configuration. */
  readonly config?: Readonly<Record<string, unknown>>
}

/** A running container. */
export interface DockerContainer {
  readonly id: string
  readonly pid: number
}

const busyboxImage = 'podsonar/busybox:lab'

export class Docker implements AsyncDisposable {
  /** Path of the API socket. */
  readonly socket: string
  readonly #folder: TemporaryFolder
  readonly #cgroup: string
  readonly #process: Process
  readonly #guard: Disposable

  private constructor(folder: TemporaryFolder, started: Process, cgroup: string) {
    this.#folder = folder
    this.#process = started
    this.#cgroup = cgroup
    this.#guard = guardShims(join(folder.path, 'exec'))
    this.socket = join(folder.path, 'docker.sock')
  }

  /** Starts it with an image of busybox. */
  static async start(): Promise<Docker> {
    const programs = await unpacked('docker')
    const folder = await TemporaryFolder.create('docker')
    const cgroup = `/podsonar-lab-${folder.path.slice(-6)}`
    await writeFile(join(folder.path, 'daemon.json'), '{}')
    const docker = new Docker(folder, await startProcess(folder.path, programs, cgroup), cgroup)
    try {
      await docker.#ready()
      const rootfs = await writeRootfs(folder.path, join(programs, 'bin/busybox'))
      await docker.importRootfs(busyboxImage, rootfs)
    } catch (error) {
      await docker[Symbol.asyncDispose]()
      throw error
    }
    return docker
  }

  /**
   * Makes an image of a root file system.
   *
   * @param name with its tag
   * @param instructions of a Dockerfile, as `USER 1000`
   */
  async importRootfs(name: string, rootfs: string, instructions: readonly string[] = []): Promise<void> {
    const tar = join(this.#folder.path, 'rootfs.tar')
    await run('tar', ['--owner=0', '--group=0', '--numeric-owner', '-C', rootfs, '-cf', tar, '.'])
    const [repo = '', tag = 'latest'] = name.split(':')
    const query = new URLSearchParams({ fromSrc: '-', repo, tag })
    for (const instruction of instructions) query.append('changes', instruction)
    await this.call('POST', `/images/create?${query.toString()}`, tar)
    await rm(tar)
  }

  async run({
    name,
    command,
    labels = {},
    network = 'none',
    mounts = {},
    image = busyboxImage,
    config = {},
  }: DockerSpec): Promise<DockerContainer> {
    const { Id: id } = await this.call<{ Id: string }>('POST', `/containers/create?name=${name}`, {
      ...{ Image: image, Cmd: command, Labels: labels, ...config },
      HostConfig: {
        NetworkMode: network,
        Binds: Object.entries(mounts).map(([inside, outside]) => `${outside}:${inside}:ro`),
      },
    })
    return this.start(id)
  }

  /** Starts a container that was created or has ended; its id stays. */
  async start(id: string): Promise<DockerContainer> {
    await this.call('POST', `/containers/${id}/start`)
    const { State } = await this.call<{ State: { Pid: number } }>('GET', `/containers/${id}/json`)
    return { id, pid: State.Pid }
  }

  async remove(id: string): Promise<void> {
    await this.call('DELETE', `/containers/${id}?force=true`)
  }

  /** A call of the Engine API; `body` is sent as JSON, or is the path of a tar file. */
  call<T = unknown>(method: string, path: string, body?: object | string): Promise<T> {
    return new Promise((resolve, reject) => {
      const type = typeof body === 'string' ? 'application/x-tar' : 'application/json'
      const call = request(
        { socketPath: this.socket, path, method, headers: { host: 'docker', 'content-type': type } },
        (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
          response.on('end', () => {
            if ((response.statusCode ?? 500) >= 300)
              reject(new Error(`${method} ${path}: ${response.statusCode ?? 0} ${text}`))
            else resolve((text.startsWith('{') && !text.includes('\n{') ? JSON.parse(text) : undefined) as T)
          })
        },
      )
      call.on('error', reject)
      if (typeof body === 'string') createReadStream(body).pipe(call)
      else call.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.running) {
      try {
        const containers = readdirSync(join(this.#folder.path, 'data/containers'))
        await Promise.all(containers.map((id) => this.remove(id)))
      } catch (error) {
        console.warn(`podsonar lab: Docker did not remove its containers: ${String(error)}`)
      }
    }
    await this.#process[Symbol.asyncDispose]()
    await stopShims(join(this.#folder.path, 'exec'))
    this.#guard[Symbol.dispose]()
    await removeMounts(this.#folder.path)
    await removeCgroups(this.#cgroup)
    await this.#folder[Symbol.asyncDispose]()
  }

  async #ready(): Promise<void> {
    await waitFor('Docker to answer', async () => {
      if (!this.#process.running) throw new Error(`dockerd ended: ${this.#process.stderr.slice(-2_000)}`)
      await this.call('GET', '/_ping')
      return true
    })
  }
}

function startProcess(folder: string, programs: string, cgroup: string): Promise<Process> {
  const inPrograms = (...names: string[]): string => names.map((name) => join(programs, name)).join(delimiter)
  const libraries = readdirSync(join(programs, 'lib')).map((name) => join('lib', name))
  return Process.start(
    'dockerd',
    join(programs, 'usr/sbin/dockerd'),
    [
      ...['--host', `unix://${join(folder, 'docker.sock')}`, '--config-file', join(folder, 'daemon.json')],
      ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
      ...['--pidfile', join(folder, 'docker.pid'), '--cgroup-parent', cgroup, '--oom-score-adjust', '0'],
      ...[
        '--bridge',
        'none',
        '--iptables=false',
        '--ip6tables=false',
        '--ip-forward=false',
        '--ip-masq=false',
      ],
    ],
    {
      env: {
        ...process.env,
        PATH: `${inPrograms('usr/sbin', 'usr/bin', 'bin')}${delimiter}${process.env['PATH'] ?? '/usr/bin'}`,
        LD_LIBRARY_PATH: inPrograms(...libraries),
      },
    },
  )
}
