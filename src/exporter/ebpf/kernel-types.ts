/** What the running kernel describes among its types (BTF). */
import { BpfError } from './bpf-error.ts'
import type { Libbpf } from './libbpf.ts'

/** BTF_KIND_TYPEDEF and BTF_KIND_FUNC of include/uapi/linux/btf.h. */
const [btfTypedef, btfFunction] = [8, 12]

/**
 * Whether the running kernel has a function that programs may call.
 *
 * @throws BpfError `bpf_no_btf` when the kernel describes no types at all
 */
export function kernelHasFunction(libbpf: Libbpf, name: string): boolean {
  return kernelHas(libbpf, name, btfFunction)
}

/**
 * Whether the running kernel has a tracepoint that programs may be attached to.
 *
 * @throws BpfError `bpf_no_btf` when the kernel describes no types at all
 */
export function kernelHasTracepoint(libbpf: Libbpf, name: string): boolean {
  return kernelHas(libbpf, `btf_trace_${name}`, btfTypedef)
}

function kernelHas({ native }: Libbpf, name: string, kind: number): boolean {
  const btf = native.btf__load_vmlinux_btf()
  if (!btf)
    throw new BpfError('bpf_no_btf', 'Cannot read the types of this kernel: no /sys/kernel/btf/vmlinux')
  try {
    return native.btf__find_by_name_kind(btf, name, kind) >= 0
  } finally {
    native.btf__free(btf)
  }
}
