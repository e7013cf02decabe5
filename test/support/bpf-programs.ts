/** Which eBPF programs the kernel holds. */
import { readdirSync, readFileSync } from 'node:fs'
import koffi from 'koffi'
import { libbpfFile } from '../../lab/needs.ts'

/** Ids of the programs that a process has open: proc(5), fdinfo of an eBPF program. */
export function programsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
    const id = /^prog_id:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1]
    return id === undefined ? [] : [Number(id)]
  })
}

/** Ids of all programs in the kernel. */
export function allPrograms(): Set<number> {
  const nextId = koffi.load(libbpfFile()).func('int bpf_prog_get_next_id(uint32 id, void *next)')
  const ids = new Set<number>()
  const next = new Uint32Array(1)
  while (Number(nextId(next[0], next)) === 0) ids.add(next[0] ?? 0)
  return ids
}
