/**
 * /proc/PID/mountinfo, see proc(5), and which of its mounts say something about disk space.
 *
 *     36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 */
import { PodsonarError } from '../../common/errors.ts'

/** A mounted file system as a container sees it. */
export interface Mount {
  /** Path in the container. */
  readonly mountpoint: string
  /** Where it comes from: `/dev/vda1`, `overlay`, `server:/export`. */
  readonly device: string
  readonly fstype: string
  /** `major:minor`, the same for all mounts of one file system. */
  readonly filesystem: string
  /** A look at it may wait for a server or a program for ever. */
  readonly mayHang: boolean
}

/** Kernel interfaces: they store nothing. autofs is one of them: to look at it would mount what is behind it. */
const pseudo = new Set(
  (
    'autofs bdev binfmt_misc bpf cgroup cgroup2 configfs cpuset debugfs devpts devtmpfs efivarfs fusectl hugetlbfs ' +
    'mqueue nsfs pipefs proc pstore ramfs rpc_pipefs securityfs selinuxfs sockfs sysfs tracefs'
  ).split(' '),
)
/** File systems of this machine's own disks and memory. */
const local = new Set(
  'aufs bcachefs btrfs erofs exfat ext2 ext3 ext4 f2fs iso9660 jfs ntfs3 overlay reiserfs squashfs tmpfs udf vfat xfs zfs'.split(
    ' ',
  ),
)
/** Single files that runtimes and the kubelet mount into every container from the node's disk. */
const injected = new Set(['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/dev/termination-log'])

/**
 * The mounts with space of their own, each mount point once: what was mounted over is not visible.
 *
 * @throws PodsonarError `malformed_proc_file`
 */
export function parseMounts(text: string): Mount[] {
  if (!text.endsWith('\n')) fail(text.slice(text.lastIndexOf('\n') + 1))
  const mounts = new Map<string, Omit<Mount, 'mayHang'>>()
  for (const line of text.slice(0, -1).split('\n')) {
    const [before = '', after = '', ...more] = line.split(' - ')
    const [id, parent, filesystem = '', , point] = before.split(' ')
    const [fstype, source] = after.split(' ')
    const isWhole = /^\d+$/.test(id ?? '') && /^\d+$/.test(parent ?? '') && /^\d+:\d+$/.test(filesystem)
    if (!isWhole || point === undefined || fstype === undefined || source === undefined || more.length > 0)
      fail(line)
    const mountpoint = unescape(point)
    mounts.delete(mountpoint)
    mounts.set(mountpoint, { mountpoint, device: unescape(source), fstype, filesystem })
  }
  const remote = [...mounts.values()].filter(({ fstype }) => !pseudo.has(fstype) && !local.has(fstype))
  const mayHang = (path: string): boolean =>
    remote.some(({ mountpoint }) => path === mountpoint || path.startsWith(`${mountpoint}/`))
  return [...mounts.values()]
    .filter(({ mountpoint, fstype }) => !pseudo.has(fstype) && tellsOfSpace(mountpoint))
    .map((mount) => ({ ...mount, mayHang: mayHang(mount.mountpoint) }))
}

function tellsOfSpace(mountpoint: string): boolean {
  if (injected.has(mountpoint)) return false
  return mountpoint === '/dev/shm' || !/^\/(proc|sys|dev)(\/|$)/.test(mountpoint)
}

/** The kernel writes blank, tab, newline and backslash as three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
}

function fail(line: string): never {
  throw new PodsonarError(
    'malformed_proc_file',
    `Cannot read mountinfo: ${JSON.stringify(line.slice(0, 100))}, expected lines as in proc(5)`,
  )
}
