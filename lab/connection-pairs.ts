/** connection-pairs.c, compiled by the machine's C compiler, in a folder of its own. */
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { TemporaryFolder } from './files.ts'
import { run } from './process.ts'

const source = fileURLToPath(new URL('connection-pairs.c', import.meta.url))

/** The program, until it is disposed of. */
export class ConnectionPairs implements AsyncDisposable {
  readonly program: string
  readonly #folder: TemporaryFolder

  private constructor(folder: TemporaryFolder, program: string) {
    this.#folder = folder
    this.program = program
  }

  /** @throws Error when there is no `cc`, or with its words */
  static async build(): Promise<ConnectionPairs> {
    await using owned = new AsyncDisposableStack()
    const folder = owned.use(await TemporaryFolder.create('pairs'))
    const program = join(folder.path, 'connection-pairs')
    await run('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source])
    owned.move()
    return new ConnectionPairs(folder, program)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]()
  }
}
