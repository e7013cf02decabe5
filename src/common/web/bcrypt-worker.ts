/** Runs in a worker: bcrypt takes tens of milliseconds a password on purpose, which no scrape should wait for. */
import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'

/** What the worker is asked; it answers with `id` and whether the password is right. */
export interface PasswordQuestion {
  readonly id: number
  readonly password: string
  readonly hash: string
}

/** What it answers. */
export interface PasswordVerdict {
  readonly id: number
  readonly right: boolean
}

parentPort?.on('message', ({ id, password, hash }: PasswordQuestion) => {
  parentPort?.postMessage({ id, right: compareSync(password, hash) } satisfies PasswordVerdict)
})
