import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '../common/errors.ts'
import type { Cgroups } from './core/parse-process.ts'
import type { CgroupFiles } from './core/resource-usage.ts'
import { readText } from './read-text.ts'

/** How often the tree of cgroups is searched for one that a path does not lead to, in milliseconds. */
const searchEveryMs = 10_000
/** How deep containers are: `/docker/<id>/kubelet.slice/kubepods.slice/<qos>/<pod>/<container>` and some more. */
const searchDepth = 8
/** How deep below a container cgroups are looked for: those of Docker and of Kubernetes in a container, and some more. */
const nestedDepth = 8

/** The sole reader of the cgroup file systems. */
export class Cgroupfs {
  /** Where the version 2 hierarchy is; undefined: nowhere. */
  readonly #unified: string | undefined
  /** Folders of version 1 hierarchies by controller. */
  readonly #hierarchies = new Map<string, string>()
  #searchedAt = -Infinity
  /** Paths of cgroups by the container id in their names, as the last search found them. */
  #found = new Map<string, string>()

  /** @param root the host's /sys/fs/cgroup: the unified hierarchy itself, or a folder of hierarchies */
  constructor(root: string) {
    this.#unified = [root, join(root, 'unified')].find((folder) =>
      existsSync(join(folder, 'cgroup.controllers')),
    )
    if (this.#unified === root || !existsSync(root)) return
    for (const name of readdirSync(root))
      for (const controller of name.split(','))
        if (existsSync(join(root, name, 'cgroup.procs'))) this.#hierarchies.set(controller, join(root, name))
  }

  /**
   * The cgroups of a container by paths that lead to them: seen from a cgroup namespace of our own they begin with
   * `/..`, and then the folder is found by the container's id in its name.
   */
  resolve(cgroups: Cgroups, containerId: string): Cgroups {
    const paths = [cgroups.unified ?? '', ...cgroups.byController.values()]
    if (!paths.some((path) => path.startsWith('/..'))) return cgroups
    const path = this.#search(containerId)
    if (path === undefined) return { unified: undefined, byController: new Map() }
    return {
      unified: cgroups.unified === undefined ? undefined : path,
      byController: new Map([...cgroups.byController.keys()].map((controller) => [controller, path])),
    }
  }

  /** Id of a cgroup v2, by which the kernel marks sockets; 0 when it cannot be known. */
  idOf({ unified }: Cgroups): number {
    if (this.#unified === undefined || unified === undefined || unified === '/') return 0
    return statSync(join(this.#unified, unified), { throwIfNoEntry: false })?.ino ?? 0
  }

  /** Folder of a cgroup v2; undefined when it cannot be known, or is the root. */
  folderOf({ unified }: Cgroups): string | undefined {
    if (this.#unified === undefined || unified === undefined || unified === '/') return undefined
    return join(this.#unified, unified)
  }

  /** Ids of the cgroups v2 below this one. */
  idsBelow({ unified }: Cgroups): number[] {
    if (this.#unified === undefined || unified === undefined || unified === '/') return []
    const ids: number[] = []
    collectIds(join(this.#unified, unified), nestedDepth, ids)
    return ids
  }

  /** The files of a container's cgroups. */
  files({ unified, byController }: Cgroups): CgroupFiles {
    return {
      version1: (controller, file) => {
        const [folder, path] = [this.#hierarchies.get(controller), byController.get(controller)]
        return folder === undefined || path === undefined || path === '/'
          ? undefined
          : read(`${folder}${path}/${file}`)
      },
      version2: (file) =>
        this.#unified === undefined || unified === undefined || unified === '/'
          ? undefined
          : read(`${this.#unified}${unified}/${file}`),
    }
  }

  #search(containerId: string): string | undefined {
    const root = this.#hierarchies.get('memory') ?? this.#unified
    if (
      root !== undefined &&
      !this.#found.has(containerId) &&
      performance.now() - this.#searchedAt > searchEveryMs
    ) {
      this.#found = new Map()
      searchFolders(root, '', searchDepth, this.#found)
      this.#searchedAt = performance.now()
    }
    return this.#found.get(containerId)
  }
}

/** A cgroup has two links, and one more for each cgroup in it. One that vanishes meanwhile is left out. */
function collectIds(folder: string, depth: number, ids: number[]): void {
  if (depth === 0 || (statSync(folder, { throwIfNoEntry: false })?.nlink ?? 2) === 2) return
  let names: string[] = []
  try {
    names = readdirSync(folder, { withFileTypes: true }).flatMap((one) => (one.isDirectory() ? one.name : []))
  } catch (error) {
    if (!['ENOENT', 'ENODEV'].includes(errorCode(error) ?? '')) throw error
  }
  for (const name of names) {
    const path = join(folder, name)
    const id = statSync(path, { throwIfNoEntry: false })?.ino
    if (id === undefined) continue
    ids.push(id)
    collectIds(path, depth - 1, ids)
  }
}

function searchFolders(root: string, path: string, depth: number, found: Map<string, string>): void {
  const id = /(?:^|[-:/])([0-9a-f]{64})(?:\.scope)?$/.exec(path)?.[1]
  // CRI-O's conmon has a cgroup with the container's id too.
  if (id !== undefined && !path.includes('crio-conmon-')) found.set(id, path)
  if (depth === 0) return
  for (const entry of readdirSync(join(root, path), { withFileTypes: true }))
    if (entry.isDirectory()) searchFolders(root, `${path}/${entry.name}`, depth - 1, found)
}

/** Undefined for a file that this kernel or this cgroup does not have. */
function read(path: string): string | undefined {
  try {
    return readText(path)
  } catch (error) {
    // ENODEV: the cgroup was removed meanwhile. EOPNOTSUPP: pressure is switched off.
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP', 'ENOTSUP'].includes(errorCode(error) ?? '')) return undefined
    throw error
  }
}
