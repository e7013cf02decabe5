/** Network namespaces with sockets in them. Needs root. */
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Process } from './process.ts'
import { waitFor } from './wait.ts'

const holder = fileURLToPath(new URL('socket-holder.ts', import.meta.url))

/** How many connections {@link SocketHolder.lives} makes of each kind. */
export const lives = {
  /** Sent {@link bytesEach}, then ended in order. */
  ended: 200,
  /** Sent {@link bytesEach}, then reset by the client. */
  reset: 7,
  /** Connected to a port where nobody listens. */
  refused: 5,
  /** Given up before they stood. */
  abandoned: 3,
  /** Sent {@link bytesEach}, and still open. */
  open: 4,
  bytesEach: 1000,
} as const

/** A process that holds sockets: those of socket-holder.ts. */
export class SocketHolder implements AsyncDisposable {
  readonly process: Process

  private constructor(process: Process) {
    this.process = process
  }

  /**
   * One socket of each kind that can be held still, in a new namespace.
   *
   * @param sysctls written first in a namespace around it, for those that only a child takes over (`tcp_child_ehash_entries`)
   */
  static async states(sysctls: Readonly<Record<string, number>> = {}): Promise<SocketHolder> {
    const inner = ['unshare', '--net', process.execPath, holder, 'states']
    const writes = Object.entries(sysctls).map(
      ([name, value]) => `echo ${value} > /proc/sys/net/ipv4/${name};`,
    )
    const script = `${writes.join(' ')} exec "$@"`
    return SocketHolder.#start(['--net', 'sh', '-c', script, 'sh', ...inner])
  }

  /** In the namespace of each process, `count` connections (twice as many sockets) from 10.1.2.3 to `ports` of its own. */
  static connections(count: number, pids: readonly number[], ports = 1): Promise<SocketHolder> {
    const numbers = [count, ports, ...pids].map(String)
    return SocketHolder.#start([process.execPath, holder, 'connections', ...numbers], { plain: true })
  }

  /** `count` connections that have ended, in a new namespace: TIME_WAIT, as far as the kernel keeps as many. */
  static ended(count: number): Promise<SocketHolder> {
    return SocketHolder.#start(['--net', process.execPath, holder, 'ended', String(count)], {
      timeoutMs: 120_000,
    })
  }

  /**
   * Connections that begin, fare and end as {@link lives} says, in a new namespace.
   *
   * @param timedOut and as many that are never answered, which takes 3 s each
   */
  static lives(timedOut = 0): Promise<SocketHolder> {
    return SocketHolder.#start(['--net', process.execPath, holder, 'lives', String(timedOut)])
  }

  /** Segments that are lost and sent again, in a new namespace: of data, several in a packet, and a listener's answer. */
  static losses(): Promise<SocketHolder> {
    return SocketHolder.#start(['--net', process.execPath, holder, 'losses'])
  }

  static async #start(
    args: readonly string[],
    { plain = false, timeoutMs = 30_000 } = {},
  ): Promise<SocketHolder> {
    const [command = '', ...rest] = plain ? args : ['unshare', ...args]
    const started = await Process.start('socket holder', command, rest)
    const kept = new SocketHolder(started)
    try {
      const ready = (): boolean => {
        if (!started.running) throw new Error(started.stderr)
        return started.stdout.includes('ready')
      }
      await waitFor('the sockets to stand', ready, { timeoutMs })
      return kept
    } catch (error) {
      await kept[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Inode of the namespace that its process is in. */
  get namespace(): number {
    return networkNamespace(this.process.pid)
  }

  get pid(): number {
    return this.process.pid
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }
}

/** Inode of the network namespace of a process. */
export function networkNamespace(pid: number): number {
  return statSync(`/proc/${pid}/ns/net`).ino
}

/** What an interface has counted. */
export interface InterfaceCounters {
  readonly receiveBytes: number
  readonly receivePackets: number
  readonly transmitBytes: number
  readonly transmitPackets: number
}

/** Of an interface in the network namespace of a process; zeros when it has none of that name. Source: proc_pid_net(5), dev. */
export function interfaceCounters(pid: number, name: string): InterfaceCounters {
  const line = readFileSync(`/proc/${pid}/net/dev`, 'utf8')
    .split('\n')
    .find((one) => one.trim().startsWith(`${name}:`))
  const fields = (line ?? '').replace(/^.*:/, '').trim().split(/\s+/).map(Number)
  return {
    ...{ receiveBytes: fields[0] ?? 0, receivePackets: fields[1] ?? 0 },
    ...{ transmitBytes: fields[8] ?? 0, transmitPackets: fields[9] ?? 0 },
  }
}

/** Network namespaces without anything in them, each with a process that sleeps. */
export class BareNamespaces implements AsyncDisposable {
  readonly #process: Process

  private constructor(process: Process) {
    this.#process = process
  }

  static async create(count: number): Promise<BareNamespaces> {
    const script = `n=0; while [ $n -lt ${count} ]; do unshare --net sleep infinity & n=$((n + 1)); done; wait`
    const namespaces = new BareNamespaces(await Process.start('namespaces', 'sh', ['-c', script]))
    const own = networkNamespace(process.pid)
    try {
      await waitFor(`${count} network namespaces`, () => {
        const { pids } = namespaces
        return pids.length === count && pids.every((pid) => networkNamespace(pid) !== own)
      })
      return namespaces
    } catch (error) {
      await namespaces[Symbol.asyncDispose]()
      throw error
    }
  }

  /** One process of each. */
  get pids(): number[] {
    const { pid } = this.#process
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    return children === '' ? [] : children.split(' ').map(Number)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of this.pids) process.kill(pid)
    await this.#process.exited
  }
}
