/** What stands between two programs and forgets their connections, as a firewall or a NAT gateway does. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A TCP proxy on a free port of the loopback address. */
export class TcpProxy implements AsyncDisposable {
  readonly port: number
  readonly #server: Server
  readonly #open = new Set<{ readonly inner: Socket; readonly outer: Socket }>()
  readonly #forgotten = new Set<Socket>()

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  /** @param target the port of 127.0.0.1 that it leads to */
  static async start(target: number): Promise<TcpProxy> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new TcpProxy(server, (server.address() as AddressInfo).port)
    server.on('connection', (outer) => {
      proxy.#join(outer, connect(target, '127.0.0.1'))
    })
    return proxy
  }

  #join(outer: Socket, inner: Socket): void {
    const pair = { outer, inner }
    this.#open.add(pair)
    outer.pipe(inner)
    inner.pipe(outer)
    for (const [socket, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#open.delete(pair)
        if (!this.#forgotten.has(socket)) other.destroy()
      })
    }
  }

  /**
   * Nothing passes any more on the connections that are open now, neither bytes nor their end; what is sent is taken and
   * dropped. New ones work.
   *
   * @returns how many there were
   */
  forget(): number {
    const count = this.#open.size
    for (const { inner, outer } of this.#open) {
      for (const socket of [inner, outer]) {
        this.#forgotten.add(socket)
        socket.unpipe()
        socket.resume()
      }
    }
    this.#open.clear()
    return count
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { inner, outer } of this.#open) for (const socket of [inner, outer]) socket.destroy()
    for (const socket of this.#forgotten) socket.destroy()
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }
}
