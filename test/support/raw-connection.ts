import { connect, type Socket } from 'node:net'

/** A connection on which text is sent as it is, and what came back. */
export class Raw implements Disposable {
  readonly #socket: Socket
  received = ''
  closed = false

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (text: string) => (this.received += text))
    this.#socket.on('error', () => undefined)
    this.#socket.on('close', () => (this.closed = true))
  }

  send(text: string): this {
    this.#socket.write(text, 'latin1')
    return this
  }

  /** Sends the head of a request. */
  request(method: string, target: string, ...headers: readonly string[]): this {
    return this.send([`${method} ${target} HTTP/1.1`, 'Host: proxy', ...headers, '', ''].join('\r\n'))
  }

  /** Of the first answer; 0 while there is none. */
  get status(): number {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.received)?.[1] ?? 0)
  }

  /** How many answers came. */
  get answers(): number {
    return this.received.match(/HTTP\/1\.1 \d/g)?.length ?? 0
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}
