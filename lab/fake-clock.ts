/** A clock that steps, for a program that is started with it: libfaketime from Debian, loaded before the system's own library. */
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { multiarch } from './clang.ts'
import { TemporaryFolder } from './files.ts'
import { unpacked } from './needs.ts'

export class FakeClock implements AsyncDisposable {
  /** What the program's environment needs. */
  readonly env: Readonly<Record<string, string>>
  readonly #folder: TemporaryFolder
  readonly #file: string

  private constructor(folder: TemporaryFolder, file: string, env: Readonly<Record<string, string>>) {
    this.#folder = folder
    this.#file = file
    this.env = env
  }

  /** @param steps `wall`: the time of day alone; `all`: also the clock that never steps, as if the time had really passed */
  static async create(steps: 'wall' | 'all'): Promise<FakeClock> {
    const folder = await TemporaryFolder.create('clock')
    const file = join(folder.path, 'clock')
    const library = join(await unpacked('faketime'), 'usr/lib', multiarch(), 'faketime/libfaketime.so.1')
    const clock = new FakeClock(folder, file, {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: steps === 'wall' ? '1' : '0',
    })
    await clock.set(0)
    return clock
  }

  /** Puts the clock so many seconds before (negative) or after the real one, at once. */
  async set(offsetSeconds: number): Promise<void> {
    const fresh = `${this.#file}.new`
    await writeFile(fresh, `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}`)
    // Whole: the library reads it at every look at the clock.
    await rename(fresh, this.#file)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]()
  }
}
