/** Which eBPF programs the kernel holds. */
import { readdirSync, readFileSync } from 'node:fs'
import koffi from 'koffi'
import { libbpfFile } from '../../lab/needs.ts'
import { errorCode } from '../../src/common/errors.ts'

/** Ids of the programs that a process has open: proc(5), fdinfo of an eBPF program. */
export function programsOf(pid: number): number[] {
  return idsOf(pid, 'prog_id')
}

/** Ids of the links by which a process has programs attached. */
export function linksOf(pid: number): number[] {
  return idsOf(pid, 'link_id')
}

function idsOf(pid: number, field: 'prog_id' | 'link_id'): number[] {
  const line = new RegExp(`^${field}:\\s*(\\d+)$`, 'm')
  return readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
    const id = line.exec(readIfThere(`/proc/${pid}/fdinfo/${fd}`))?.[1]
    return id === undefined ? [] : [Number(id)]
  })
}

/** Empty when it is gone, as the one by which a process lists its own. */
function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ''
    throw error
  }
}

/** Ids of all programs in the kernel. */
export function allPrograms(): Set<number> {
  const nextId = koffi.load(libbpfFile()).func('int bpf_prog_get_next_id(uint32 id, void *next)')
  const ids = new Set<number>()
  const next = new Uint32Array(1)
  while (Number(nextId(next[0], next)) === 0) ids.add(next[0] ?? 0)
  return ids
}

/**
 * More events than the kernel leaves out, on a node that runs tests: one that comes while its processor is in the program already
 * is counted as lost, whoever's it is. What a test wants to see is asserted by its own figures.
 */
export const missedOnTheNode = 100
