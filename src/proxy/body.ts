import type { IncomingMessage } from 'node:http'

/** What takes a target's body. */
export interface BodySink {
  /** Gets each piece as it comes; the bytes are valid only during the call. */
  readonly data: (piece: Buffer) => void
  /** The body is whole. */
  readonly end: () => void
  /** The body ended before its end. Not told after `end`. */
  readonly lost: () => void
}

/** The body of a target's answer, of which nothing has been read. */
export interface Body {
  /** Lets it come. Called once. */
  start(sink: BodySink): void
  /** Asks for no more for now; what is on its way still comes. */
  pause(): void
  resume(): void
  /** Wants no more of it: closes the connection unless the answer was read to its end. */
  destroy(): void
}

/** The body of an answer as Node's parser gives it. */
export class ParsedBody implements Body {
  readonly #answer: IncomingMessage

  constructor(answer: IncomingMessage) {
    this.#answer = answer
  }

  start({ data, end, lost }: BodySink): void {
    const answer = this.#answer
    answer.on('data', data)
    answer.on('end', end)
    answer.on('error', lost)
    answer.on('close', () => {
      if (!answer.readableEnded) lost()
    })
    if (answer.destroyed) lost()
  }

  pause(): void {
    this.#answer.pause()
  }

  resume(): void {
    this.#answer.resume()
  }

  destroy(): void {
    this.#answer.destroy()
  }
}
