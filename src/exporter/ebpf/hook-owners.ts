/** Who else has programs where sockops.bpf.c would go. */
import { constants } from 'node:os'
import { BpfError } from './bpf-error.ts'
import { errorName, type Libbpf } from './libbpf.ts'

/** Of include/uapi/linux/bpf.h: BPF_CGROUP_SOCK_OPS, BPF_F_QUERY_EFFECTIVE, BPF_PROG_TYPE_SK_MSG. */
const [cgroupSockOps, queryEffective, typeSkMsg] = [3, 1, 16]
/** Most programs that one cgroup can have (BPF_CGROUP_MAX_PROGS). */
const maxPrograms = 64
/** Words of struct bpf_prog_info that are read: the name is at byte 64. */
const infoBytes = 232
const nameAt = 64
/** Our own: of another exporter, or left in sockets of one that was killed. */
const ownNames: ReadonlySet<string> = new Set(['podsonar_ops', 'podsonar_msg'])

/**
 * The programs at the socket hook of a cgroup, its ancestors' included, by name or, where names may not be read, by id.
 *
 * @param cgroup its folder, open
 * @throws BpfError when the kernel does not answer
 */
export function otherOwners({ native }: Libbpf, cgroup: number): string[] {
  const ids = new Uint32Array(maxPrograms)
  const count = Uint32Array.of(maxPrograms)
  const result = native.bpf_prog_query(cgroup, cgroupSockOps, queryEffective, null, ids, count)
  if (result < 0)
    throw new BpfError('bpf_failed', `Cannot ask who is attached to a cgroup: ${errorName(result)}`)
  return [...ids.subarray(0, count[0])].map((id) => nameOf(native, id)?.name ?? `program ${id}`)
}

/**
 * Names of all sk_msg programs of the node that are not ours.
 *
 * @throws BpfError `bpf_not_listed` without CAP_SYS_ADMIN, which the kernel asks for
 */
export function foreignMessagePrograms({ native }: Libbpf): string[] {
  const names: string[] = []
  const next = new Uint32Array(1)
  for (let id = 0; ; id = next[0] ?? 0) {
    const result = native.bpf_prog_get_next_id(id, next)
    if (-result === constants.errno.ENOENT) return names
    if (result < 0)
      throw new BpfError(
        'bpf_not_listed',
        `Cannot see whether somebody else hands messages over on this node, which takes CAP_SYS_ADMIN: ${errorName(result)}`,
      )
    const found = nameOf(native, next[0] ?? 0)
    if (found?.type === typeSkMsg && !ownNames.has(found.name))
      names.push(found.name || `program ${next[0] ?? 0}`)
  }
}

function nameOf(native: Libbpf['native'], id: number): { type: number; name: string } | undefined {
  const fd = native.bpf_prog_get_fd_by_id(id)
  if (fd < 0) return undefined
  try {
    const info = Buffer.alloc(infoBytes)
    if (native.bpf_obj_get_info_by_fd(fd, info, Uint32Array.of(infoBytes)) < 0) return undefined
    return {
      type: info.readUInt32LE(0),
      name: info.toString('latin1', nameAt, nameAt + 16).replace(/\0.*$/s, ''),
    }
  } finally {
    native.close(fd)
  }
}
