/** A file system that never answers, as a server that went away: FUSE whose program reads no request. Needs root. */
import { Process } from './process.ts'
import { waitFor } from './wait.ts'

export class HungMount implements AsyncDisposable {
  readonly #holder: Process

  private constructor(holder: Process) {
    this.#holder = holder
  }

  /** Mounts it on a folder in the mount namespace of a process, whose root has busybox in /bin. */
  static async on(pid: number, folder: string): Promise<HungMount> {
    const options = 'fd=5,rootmode=40000,user_id=0,group_id=0,allow_other'
    const mount = `nsenter -t ${pid} -m /bin/busybox mount -t fuse -o ${options} hung ${folder}`
    const holder = await Process.start('hung mount', 'sh', [
      '-c',
      `exec 5<>/dev/fuse && nsenter -t ${pid} -m /bin/busybox mkdir -p ${folder} && ${mount} && echo ready && exec sleep 1000000`,
    ])
    await waitFor('the mount', () => {
      if (!holder.running) throw new Error(holder.stderr)
      return holder.stdout.includes('ready')
    })
    return new HungMount(holder)
  }

  /** Whoever waits for it gets an error: the mount is as one whose program ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder[Symbol.asyncDispose]()
  }
}
