/** Turns at what a machine has only one of, among all processes of it: flock(1). */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Process } from './process.ts'
import { waitFor } from './wait.ts'

/** For how long another turn may take, in milliseconds. */
const patienceMs = 170_000

/** A turn, until it is disposed of. */
export class Turn implements AsyncDisposable {
  readonly #holder: Process

  private constructor(holder: Process) {
    this.#holder = holder
  }

  /** Beside other shared ones. */
  static shared(what: string): Promise<Turn> {
    return Turn.#take('--shared', what)
  }

  /** Alone. */
  static exclusive(what: string): Promise<Turn> {
    return Turn.#take('--exclusive', what)
  }

  static async #take(kind: string, what: string): Promise<Turn> {
    const file = join(tmpdir(), `podsonar-lab-${what}.lock`)
    // It ends with this process, also when that is killed: nobody would have a turn any more.
    const hold = `echo taken; exec tail --pid=${process.pid} -f /dev/null`
    const args = [kind, '--no-fork', file, 'sh', '-c', hold]
    const turn = new Turn(await Process.start('turn', 'flock', args))
    try {
      await waitFor(`a turn at ${what}`, () => turn.#holder.stdout.includes('taken'), {
        timeoutMs: patienceMs,
      })
      return turn
    } catch (error) {
      await turn[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder[Symbol.asyncDispose]()
  }
}
