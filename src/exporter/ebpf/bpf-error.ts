import { constants } from 'node:os'
import { PodsonarError } from '../../common/errors.ts'
import { errorName } from './libbpf.ts'

/**
 * Why an eBPF object cannot be used. `code`: `bpf_not_permitted` (a capability is missing), `bpf_no_btf`,
 * `bpf_no_memory`, `bpf_refused` (the verifier or a missing kernel type), `bpf_object_missing`, `bpf_interrupted` (signals),
 * `bpf_failed`.
 */
export class BpfError extends PodsonarError {
  /** The last messages of libbpf, the verifier's among them. */
  readonly messages: readonly string[]

  constructor(code: string, message: string, messages: readonly string[] = []) {
    super(code, message)
    this.messages = messages
  }

  /** @param result what libbpf returned: the negative number of a system's error */
  static of(result: number, what: string, messages: readonly string[] = []): BpfError {
    return new BpfError(codeOf(result), `${what}: ${errorName(result)}`, messages)
  }
}

function codeOf(result: number): string {
  switch (-result) {
    case constants.errno.EPERM:
      return 'bpf_not_permitted'
    case constants.errno.ENOMEM:
    case constants.errno.E2BIG:
      return 'bpf_no_memory'
    case constants.errno.EAGAIN:
      return 'bpf_interrupted'
    case constants.errno.EACCES: // the verifier's "invalid mem access" and the like
    case constants.errno.EINVAL:
    case constants.errno.ENOTSUP:
    case constants.errno.ESRCH:
      return 'bpf_refused'
    default:
      return 'bpf_failed'
  }
}
