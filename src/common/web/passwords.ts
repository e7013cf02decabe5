import { createHmac, randomBytes } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { siblingModule } from '../worker.ts'
import type { PasswordQuestion, PasswordVerdict } from './bcrypt-worker.ts'

/** Verdicts that are remembered, of right and of wrong passwords each: a scraper shows the same one every few seconds. */
const maxVerdicts = 1_000
/** Passwords that wait for their verdict; a flood of wrong ones must not queue for ever. */
const maxWaiting = 100
/** A hash that nothing matches: an unknown user takes as long to refuse as a known one. */
const nobody = '$2b$10$......................................................'.slice(0, 60)

/** Judges passwords by bcrypt hashes, in a worker that starts with the first one. */
export class Passwords implements AsyncDisposable {
  /** Remembered verdicts are keyed by what nobody else can compute, so that no password is kept. */
  readonly #secret = randomBytes(32)
  readonly #right = new Set<string>()
  readonly #wrong = new Set<string>()
  readonly #waiting = new Map<number, (right: boolean | undefined) => void>()
  #worker: Worker | undefined
  #lastId = 0

  /**
   * @param hash of the user; undefined for a user that there is not
   * @returns undefined when too many wait already, or the worker is gone
   */
  async check(user: string, password: string, hash: string | undefined): Promise<boolean | undefined> {
    const key = createHmac('sha256', this.#secret)
      .update(JSON.stringify([user, password, hash ?? '']))
      .digest('base64')
    if (this.#right.has(key)) return true
    if (this.#wrong.has(key)) return false
    if (this.#waiting.size >= maxWaiting) return undefined
    const matches = await this.#ask(password, hash ?? nobody)
    if (matches === undefined) return undefined
    const right = matches && hash !== undefined
    const verdicts = right ? this.#right : this.#wrong
    if (verdicts.size >= maxVerdicts) verdicts.clear()
    verdicts.add(key)
    return right
  }

  #ask(password: string, hash: string): Promise<boolean | undefined> {
    this.#lastId += 1
    const question: PasswordQuestion = { id: this.#lastId, password, hash }
    return new Promise((resolve) => {
      this.#waiting.set(question.id, resolve)
      this.#worker ??= this.#start()
      this.#worker.postMessage(question)
    })
  }

  #start(): Worker {
    const worker = new Worker(siblingModule(import.meta.url, './bcrypt-worker'))
    worker.on('message', ({ id, right }: PasswordVerdict) => {
      this.#waiting.get(id)?.(right)
      this.#waiting.delete(id)
    })
    // Whatever ends it, those that wait get no verdict, and the next one starts another.
    const over = (): void => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      for (const settle of this.#waiting.values()) settle(undefined)
      this.#waiting.clear()
    }
    worker.on('error', over)
    worker.on('exit', over)
    return worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate()
  }
}
