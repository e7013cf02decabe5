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

/** How long a container's list of mounts is kept on average, in milliseconds. */
const mountsKeptMs = 60_000

export interface FilesystemOptions {
  readonly procfs: Procfs
  readonly labels: LabelMaker
  readonly hangable: HangableSpace
  readonly layers: WritableLayers
  /** Told why a container's mounts were left out. */
  readonly onSkipped: (reason: string) => void
  /** Told at each collection how many mounts could not be looked at, by reason. */
  readonly onUnreadable: (mounts: ReadonlyMap<string, number>) => void
}

/** One mount of one container with its labels. */
interface Row {
  readonly mount: Mount
  /** Where it is for us. */
  readonly path: string
  readonly labels: string
}

interface KeptMounts {
  readonly container: Container
  readonly mountinfo: string
  readonly rows: readonly Row[]
  /** When mountinfo is read again. */
  readonly until: number
}

/** What one collection makes. */
interface Output {
  readonly families: Readonly<Record<keyof Space, Family>>
  readonly unreadable: Map<string, number>
}

/** `container_filesystem_*`: space as seen inside each container; and what each wrote itself. */
export function filesystemCollector(options: FilesystemOptions): Collector {
  let kept = new Map<string, KeptMounts>()
  return {
    name: 'filesystem',
    async collect({ containers }, signal) {
      const output: Output = { families: makeFamilies(), unreadable: new Map() }
      const next = new Map<string, KeptMounts>()
      const waiting: Row[] = []
      await eachInSlices(containers, signal, (container) => {
        const mounts = mountsOf(container, kept.get(container.id), options)
        if (mounts === undefined) return
        next.set(container.id, mounts)
        for (const row of mounts.rows) {
          if (row.mount.mayHang) waiting.push(row)
          else addLocal(row, output)
        }
      })
      kept = next
      await addHangable(waiting, output, options)
      options.onUnreadable(output.unreadable)
      return [...Object.values(output.families), ...writableLayers(containers, options)]
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
  const { pid } = container
  const now = performance.now()
  if (known?.container === container && now < known.until) return known
  try {
    const mountinfo = procfs.text(pid, 'mountinfo')
    // Not all containers at the same scrape.
    const until = now + mountsKeptMs * (0.5 + Math.random())
    if (known?.container === container && known.mountinfo === mountinfo) return { ...known, until }
    const own = labels.container(container)
    const rows = parseMounts(mountinfo).map((mount): Row => {
      const { mountpoint, device, fstype } = mount
      return {
        mount,
        path: procfs.pathInRoot(pid, mountpoint),
        labels: joinLabels(own, renderLabels({ mountpoint, device, fstype })),
      }
    })
    return { container, mountinfo, rows, until }
  } catch (error) {
    onSkipped(errorCode(error) ?? 'error')
    return undefined
  }
}

function addLocal(row: Row, output: Output): void {
  try {
    add(row, localSpace(row.path), output)
  } catch (error) {
    leaveOut(errorCode(error) ?? 'error', output)
  }
}

/** Each file system is looked at once, whoever mounts it. */
async function addHangable(
  rows: readonly Row[],
  output: Output,
  { hangable }: FilesystemOptions,
): Promise<void> {
  const byFilesystem = Map.groupBy(rows, ({ mount }) => mount.filesystem)
  await Promise.all(
    [...byFilesystem].map(async ([filesystem, mounts]) => {
      const [first] = mounts
      if (first === undefined) return
      const space = await hangable.look(filesystem, first.path)
      for (const row of mounts) {
        if ('reason' in space) leaveOut(space.reason, output)
        else add(row, space, output)
      }
    }),
  )
}

function add({ labels }: Row, space: Space, { families }: Output): void {
  for (const figure of ['sizeBytes', 'availBytes', 'files', 'filesFree'] as const)
    families[figure].add(labels, space[figure])
}

function leaveOut(reason: string, { unreadable }: Output): void {
  unreadable.set(reason, (unreadable.get(reason) ?? 0) + 1)
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
