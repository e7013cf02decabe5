import { closeSync, fstatSync, openSync } from 'node:fs'
import { errorCode, PodsonarError } from '../common/errors.ts'
import type { Procfs } from '../exporter/procfs.ts'

/** A network namespace, kept by a file descriptor: it cannot become another one when its process ends. */
export class OpenNamespace implements Disposable {
  readonly descriptor: number

  private constructor(descriptor: number) {
    this.descriptor = descriptor
  }

  /**
   * Opens the namespace of a process, which must still be the one that was found.
   *
   * @param inode see `Procfs.networkNamespace`
   * @throws PodsonarError `pod_gone`, or `no_permission`
   */
  static open(procfs: Procfs, pid: number, inode: number): OpenNamespace {
    let descriptor
    try {
      descriptor = openSync(procfs.networkNamespaceFile(pid), 'r')
    } catch (cause) {
      const code = errorCode(cause)
      if (code === 'EACCES' || code === 'EPERM')
        throw new PodsonarError(
          'no_permission',
          `Cannot enter the network namespace of process ${pid}: ${code}, expected CAP_SYS_PTRACE`,
          { cause },
        )
      throw gone(pid)
    }
    if (fstatSync(descriptor).ino === inode) return new OpenNamespace(descriptor)
    closeSync(descriptor)
    throw gone(pid)
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor)
  }
}

function gone(pid: number): PodsonarError {
  return new PodsonarError('pod_gone', `Cannot enter the network namespace of process ${pid}: it ended`)
}
