/**
 * Sockets exactly as a test wants them, through the C library: Node's own `net` accepts and reads by itself, and cannot
 * enter a network namespace. For programs of their own process, see socket-holder.ts: calls block.
 */
import { openSync, closeSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import koffi from 'koffi'

const libc = koffi.load('libc.so.6')
koffi.struct('sock_fprog', { length: 'uint16', instructions: 'const void *' })
const native = {
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const void *address, uint32 length)'),
  listen: libc.func('int listen(int fd, int backlog)'),
  connect: libc.func('int connect(int fd, const void *address, uint32 length)'),
  accept: libc.func('int accept(int fd, void *address, void *length)'),
  send: libc.func('int64 send(int fd, const void *data, size_t length, int flags)'),
  recv: libc.func('int64 recv(int fd, void *data, size_t length, int flags)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint32 length)'),
  attachFilter: libc.func('setsockopt', 'int', ['int', 'int', 'int', 'const sock_fprog *', 'uint32']),
  getsockname: libc.func('int getsockname(int fd, void *address, void *length)'),
  shutdown: libc.func('int shutdown(int fd, int how)'),
  close: libc.func('int close(int fd)'),
  ioctl: libc.func('int ioctl(int fd, ulong request, void *argument)'),
  setns: libc.func('int setns(int fd, int type)'),
} as const

/** Values of Linux on x86-64 and arm64. */
const af = { inet: 2, inet6: 10 } as const
export const sockType = { stream: 1, dgram: 2, nonblock: 0o4000 } as const
export const option = {
  reuseAddress: [1, 2],
  receiveBuffer: [1, 8],
  linger: [1, 13],
  maxSegment: [6, 2],
  synRetries: [6, 7],
  deferAccept: [6, 9],
} as const satisfies Record<string, readonly [level: number, name: number]>
const eagain = 11
/** EAGAIN, EALREADY, EINPROGRESS. */
const waiting: ReadonlySet<number> = new Set([eagain, 114, 115])
const dontWait = 0x40

/** Calls a function of the C library. @throws Error that names the call and errno */
function call(name: keyof typeof native, ...args: readonly unknown[]): number {
  const result = Number(native[name](...args))
  if (result < 0) {
    const errno = koffi.errno()
    const found = Object.entries(koffi.os.errno).find(([, value]) => value === errno)
    throw Object.assign(new Error(`${name}: ${found?.[0] ?? errno}`), { errno })
  }
  return result
}

/** `sockaddr_in` or `sockaddr_in6`. */
function socketAddress(address: string, port: number): Buffer {
  if (!address.includes(':')) {
    const bytes = Buffer.alloc(16)
    bytes.writeUInt16LE(af.inet, 0)
    bytes.writeUInt16BE(port, 2)
    address.split('.').forEach((part, index) => (bytes[4 + index] = Number(part)))
    return bytes
  }
  const bytes = Buffer.alloc(28)
  bytes.writeUInt16LE(af.inet6, 0)
  bytes.writeUInt16BE(port, 2)
  const [head = '', tail = ''] = address.split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const before = groups(head)
  const after = groups(tail)
  before.forEach((group, index) => bytes.writeUInt16BE(parseInt(group, 16), 8 + index * 2))
  after.forEach((group, index) => bytes.writeUInt16BE(parseInt(group, 16), 24 - (after.length - index) * 2))
  return bytes
}

/** A socket bound to an address. */
export function bound(type: number, address: string, port = 0): number {
  const bytes = socketAddress(address, port)
  return opened(call('socket', address.includes(':') ? af.inet6 : af.inet, type, 0), (fd) => {
    setOption(fd, 'reuseAddress', 1)
    call('bind', fd, bytes, bytes.length)
  })
}

export function listening(address: string, port = 0, backlog = 4096): number {
  return opened(bound(sockType.stream, address, port), (fd) => call('listen', fd, backlog))
}

/** A listening socket on which {@link accept} does not wait. */
export function listeningNonblock(address: string): number {
  return opened(bound(sockType.stream | sockType.nonblock, address), (fd) => call('listen', fd, 8))
}

/** A descriptor that stays open only if `prepare` does not throw. */
function opened(fd: number, prepare: (fd: number) => unknown): number {
  try {
    prepare(fd)
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** A socket that is not connected yet. */
export function unconnected(type: number): number {
  return call('socket', af.inet, type, 0)
}

/** Connects a socket, and gives 0. @throws Error with `errno` */
export function connectTo(fd: number, address: string, port: number): number {
  const bytes = socketAddress(address, port)
  return call('connect', fd, bytes, bytes.length)
}

/** A socket connected to `address`, from any port. `nonblock` returns before the connection stands. */
export function connected(type: number, address: string, port: number): number {
  const fd = call('socket', address.includes(':') ? af.inet6 : af.inet, type, 0)
  try {
    connectTo(fd, address, port)
  } catch (error) {
    if ((type & sockType.nonblock) === 0) throw error
  }
  return fd
}

export function accept(fd: number): number {
  return call('accept', fd, null, null)
}

/** What a call on a `nonblock` socket gives; undefined: it would have to wait. @throws Error with `errno` */
export function attempt<T>(call: () => T): T | undefined {
  try {
    return call()
  } catch (error) {
    if (waiting.has((error as { errno?: number }).errno ?? 0)) return undefined
    throw error
  }
}

/**
 * Tries until there is an answer, and computes meanwhile. What the kernel does when a timer rings, it does in the name of the
 * process that has the processor at that moment, and there are kernels (of sandboxes) that run no tracing program while
 * that is init. So it is better this process.
 */
export function busily<T>(answer: () => T | undefined): T {
  setPriority(constants.priority.PRIORITY_HIGHEST)
  try {
    for (;;) {
      const given = answer()
      if (given !== undefined) return given
    }
  } finally {
    setPriority(constants.priority.PRIORITY_NORMAL)
  }
}

export function portOf(fd: number): number {
  const bytes = Buffer.alloc(28)
  const length = Uint32Array.of(bytes.length)
  call('getsockname', fd, bytes, length)
  return bytes.readUInt16BE(2)
}

/** Sends; gives the number of bytes that were taken, 0 when there is no room. */
export function send(fd: number, data: Buffer): number {
  return attempt(() => call('send', fd, data, data.length, dontWait)) ?? 0
}

/** Receives what is there, waiting for at least a byte unless the socket is `nonblock`. */
export function receive(fd: number, data: Buffer): number {
  return call('recv', fd, data, data.length, 0)
}

/** Receives what is there. @throws Error with `errno` EAGAIN when nothing is */
export function receiveNow(fd: number, data: Buffer): number {
  return call('recv', fd, data, data.length, dontWait)
}

export function setOption(fd: number, name: keyof typeof option, ...values: readonly number[]): void {
  const value = Int32Array.from(values)
  const [level, number] = option[name]
  call('setsockopt', fd, level, number, value, value.byteLength)
}

/** Drops what arrives for a TCP socket, as if the network had lost it; `false`: no longer. Source: socket(7), SO_ATTACH_FILTER. */
export function dropIncoming(fd: number, drops: boolean): void {
  const instructions = Buffer.from([0x06, 0, 0, 0, 0, 0, 0, 0]) // "ret #0": takes no byte of it
  if (drops) call('attachFilter', fd, 1, 26, { length: 1, instructions }, 16)
  else call('setsockopt', fd, 1, 27, Buffer.alloc(4), 4)
}

/** Sends a FIN; the socket still reads. */
export function shutdownWrites(fd: number): void {
  call('shutdown', fd, 1)
}

export function close(fd: number): void {
  call('close', fd)
}

/** Sends all of `data`. */
export function sendAll(fd: number, data: Buffer): void {
  call('send', fd, data, data.length, 0)
}

/** A socket for sock_diag(7), in the namespace that this thread is in. */
export function netlink(): Disposable & { readonly number: number } {
  const number = call('socket', 16, 3, 4) // AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG
  return {
    number,
    [Symbol.dispose]() {
      close(number)
    },
  }
}

/** Moves this thread into the network namespace of a process; sockets that are made from now on are there. */
export function enterNetworkOf(pid: number): void {
  const fd = openSync(`/proc/${pid}/ns/net`, 'r')
  try {
    call('setns', fd, 0x4000_0000)
  } finally {
    closeSync(fd)
  }
}

/** Brings the loopback interface up and gives it one more IPv4 address, which then is no loopback address. */
export function raiseLoopback(address: string): void {
  const fd = call('socket', af.inet, sockType.dgram, 0)
  const request = (name: string): Buffer => {
    const bytes = Buffer.alloc(40)
    bytes.write(name)
    return bytes
  }
  const up = request('lo')
  up.writeUInt16LE(1, 16) // IFF_UP
  call('ioctl', fd, 0x8914, up) // SIOCSIFFLAGS
  const alias = request('lo:1')
  socketAddress(address, 0).copy(alias, 16)
  call('ioctl', fd, 0x8916, alias) // SIOCSIFADDR
  close(fd)
}
