/** Why eBPF cannot be used on a node, in words that say what to do about it. */

export interface EbpfObstacle {
  /** Of LibbpfError, BpfError or EbpfWorkerError. */
  readonly code: string
  readonly message: string
  /** libbpf's warnings, the verifier's log among them. */
  readonly messages: readonly string[]
  /** `uname -r` */
  readonly kernelRelease: string
  /** Bits of CapEff in /proc/self/status; see capabilities(7). */
  readonly capabilities: bigint
  /** What the program needs. @default 6.1 */
  readonly needsLinux?: string
}

/** What reading the socket table and attaching tracepoints takes. Bits of include/uapi/linux/capability.h. */
const neededCapabilities = { CAP_PERFMON: 38n, CAP_BPF: 39n } as const
/** Stands for both of them, as before Linux 5.8. */
const capSysAdmin = 21n

/** Those of {@link neededCapabilities} that are not held. */
export function missingCapabilities(held: bigint): string[] {
  const has = (bit: bigint): boolean => ((held >> bit) & 1n) === 1n
  if (has(capSysAdmin)) return []
  return Object.entries(neededCapabilities).flatMap(([name, bit]) => (has(bit) ? [] : [name]))
}

/** CapEff of the text of /proc/PID/status. 0 when it is not there. */
export function effectiveCapabilities(status: string): bigint {
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
}

/** One sentence without its full stop. */
export function explainObstacle(obstacle: EbpfObstacle): string {
  switch (obstacle.code) {
    case 'libbpf_missing':
      return 'libbpf.so.1 (1.0 or later) cannot be loaded: install libbpf1, or name its file in LIBBPF_PATH'
    case 'bpf_object_missing':
      return 'this build has no compiled eBPF programs: build with clang and libbpf-dev'
    case 'bpf_no_btf':
      return 'this kernel does not describe its types: /sys/kernel/btf/vmlinux is missing (CONFIG_DEBUG_INFO_BTF)'
    case 'bpf_no_memory':
      return "the kernel has no memory for the programs' maps: raise the container's memory limit"
    case 'bpf_not_permitted':
      return explainPermission(obstacle)
    case 'bpf_refused':
      // Without a capability the verifier refuses what it would allow with it.
      if (missingCapabilities(obstacle.capabilities).length > 0) return explainPermission(obstacle)
      return `kernel ${obstacle.kernelRelease} refuses the program, which needs Linux ${obstacle.needsLinux ?? '6.1'}: ${verifierWord(obstacle)}`
    default:
      return obstacle.message
  }
}

function explainPermission({ capabilities, message }: EbpfObstacle): string {
  const missing = missingCapabilities(capabilities)
  return missing.length > 0
    ? `${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not among the capabilities of this process`
    : `the kernel forbids it although the capabilities are held (lockdown, a security module or seccomp): ${message}`
}

/** The verifier's last word before its statistics, or libbpf's. */
function verifierWord({ messages, message }: EbpfObstacle): string {
  const lines = messages.flatMap((text) => text.split('\n')).map((line) => line.trim())
  const end = lines.findLastIndex((line) => line.startsWith('processed '))
  return (end > 0 ? lines[end - 1] : lines.findLast((line) => line.startsWith('libbpf:'))) ?? message
}
