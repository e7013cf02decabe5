import { Family, joinLabels, renderLabels } from '../../common/exposition.ts'
import { errorCode } from '../../common/errors.ts'
import type { Collector } from '../collector.ts'
import type { Container } from '../core/containers.ts'
import type { LabelMaker } from '../core/labels.ts'
import { parseMounts, type Mount } from '../core/parse-mountinfo.ts'
import { eachInSlices } from '../slices.ts'
import type { Procfs } from '../procfs.ts'
import { localSpace, type HangableSpace, type Space } from '../space.ts'
import type { WritableLayers } from '../writable-layers.ts'

/** How long a container's list of mounts is kept, in milliseconds. */
const mountsKeptMs = 60_000

export interface FilesystemOptions {
  readonly procfs: Procfs
  readonly labels: LabelMaker
  readonly hangable: HangableSpace
  readonly layers: WritableLayers
  /** Told why a mount or a container's mounts were left out. */
  readonly onSkipped: (kind: 'mount' | 'container', reason: string) => void
}

/** One mount of one container with its labels. */
interface Row {
  readonly container: Container
  readonly mount: Mount
  readonly labels: string
}

interface KeptMounts {
  readonly startTime: string
  readonly readAt: number
  readonly rows: readonly Row[]
}

/** `container_filesystem_*`: space as seen inside each container; and what each wrote itself. */
export function filesystemCollector(options: FilesystemOptions): Collector {
  let kept = new Map<string, KeptMounts>()
  return {
    name: 'filesystem',
    async collect({ containers }, signal) {
      const families = makeFamilies()
      const next = new Map<string, KeptMounts>()
      const waiting: Row[] = []
      await eachInSlices(containers, signal, (container) => {
        const mounts = mountsOf(container, kept.get(container.id), options)
        if (mounts === undefined) return
        next.set(container.id, mounts)
        for (const row of mounts.rows) {
          if (row.mount.mayHang) waiting.push(row)
          else addLocal(row, families, options)
        }
      })
      kept = next
      await addHangable(waiting, families, options)
      return [...Object.values(families), ...writableLayers(containers, options)]
    },
  }
}

function makeFamilies(): Record<keyof Space, Family> {
  const of = (name: string, help: string): Family => new Family(`container_filesystem_${name}`, 'gauge', help)
  return {
    sizeBytes: of('size_bytes', 'Size of a file system that a container sees.'),
    availBytes: of('avail_bytes', 'Space that is left on it for others than root.'),
    files: of('files', 'Files that it can hold.'),
    filesFree: of('files_free', 'Files that it can hold in addition.'),
  }
}

function mountsOf(
  container: Container,
  known: KeptMounts | undefined,
  { procfs, labels, onSkipped }: FilesystemOptions,
): KeptMounts | undefined {
  const { pid, startTime } = container
  const now = performance.now()
  if (known?.startTime === startTime && now - known.readAt < mountsKeptMs) return known
  try {
    const own = labels.container(container)
    const rows = parseMounts(procfs.text(pid, 'mountinfo')).map((mount) => {
      const { mountpoint, device, fstype } = mount
      return { container, mount, labels: joinLabels(own, renderLabels({ mountpoint, device, fstype })) }
    })
    return { startTime, readAt: now, rows }
  } catch (error) {
    onSkipped('container', errorCode(error) ?? 'error')
    return undefined
  }
}

function addLocal(row: Row, families: Record<keyof Space, Family>, options: FilesystemOptions): void {
  try {
    add(row, localSpace(pathOf(row, options)), families)
  } catch (error) {
    options.onSkipped('mount', errorCode(error) ?? 'error')
  }
}

/** Each file system is looked at once, whoever mounts it. */
async function addHangable(
  rows: readonly Row[],
  families: Record<keyof Space, Family>,
  options: FilesystemOptions,
): Promise<void> {
  const byFilesystem = Map.groupBy(rows, ({ mount }) => mount.filesystem)
  await Promise.all(
    [...byFilesystem].map(async ([filesystem, mounts]) => {
      const [first] = mounts
      if (first === undefined) return
      const space = await options.hangable.look(filesystem, pathOf(first, options))
      for (const row of mounts) {
        if ('reason' in space) options.onSkipped('mount', space.reason)
        else add(row, space, families)
      }
    }),
  )
}

function pathOf({ container, mount }: Row, { procfs }: FilesystemOptions): string {
  return procfs.pathInRoot(container.pid, mount.mountpoint)
}

function add({ labels }: Row, space: Space, families: Record<keyof Space, Family>): void {
  for (const figure of ['sizeBytes', 'availBytes', 'files', 'filesFree'] as const)
    families[figure].add(labels, space[figure])
}

function writableLayers(
  containers: readonly Container[],
  { layers, labels }: FilesystemOptions,
): readonly Family[] {
  const bytes = new Family(
    'container_writable_layer_bytes',
    'gauge',
    'What a container wrote into its own layer, as its runtime counts it every minute.',
  )
  const inodes = new Family(
    'container_writable_layer_inodes',
    'gauge',
    "Inodes of a container's own layer, as its runtime counts them every minute.",
  )
  const known = layers.latest()
  for (const container of containers) {
    const layer = known.get(container.id)
    if (layer === undefined) continue
    const own = labels.container(container)
    bytes.add(own, layer.bytes)
    if (layer.inodes !== undefined) inodes.add(own, layer.inodes)
  }
  return [bytes, inodes]
}
