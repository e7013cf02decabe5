/**
 * An archive in the format that Linux unpacks as its first root file system: `newc` of cpio, see
 * Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
 */
import { open, lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'

const type = { link: 0o120000, folder: 0o040000, file: 0o100000 } as const

export class CpioArchive {
  readonly #parts: Buffer[] = []
  readonly #paths = new Set<string>()

  /** @param path in the archive, without a leading slash */
  file(path: string, content: Buffer, mode = 0o755): void {
    this.#folders(path)
    this.#entry(path, type.file | mode, content)
  }

  link(path: string, target: string): void {
    this.#folders(path)
    this.#entry(path, type.link | 0o777, Buffer.from(target))
  }

  folder(path: string): void {
    this.#folders(`${path}/`)
  }

  /** Adds a file, a link, or a folder with all that is in it. */
  async tree(path: string, from: string): Promise<void> {
    const stats = await lstat(from)
    if (stats.isSymbolicLink()) this.link(path, await readlink(from))
    else if (stats.isFile()) this.file(path, await readFile(from), stats.mode & 0o777)
    else for (const name of await readdir(from)) await this.tree(join(path, name), join(from, name))
  }

  async write(file: string): Promise<void> {
    this.#entry('TRAILER!!!', 0, Buffer.alloc(0))
    await using handle = await open(file, 'w')
    for (const part of this.#parts) await handle.write(part)
  }

  #folders(path: string): void {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
      const folder = path.slice(0, at)
      if (!this.#paths.has(folder)) this.#entry(folder, type.folder | 0o755, Buffer.alloc(0))
    }
  }

  #entry(path: string, mode: number, content: Buffer): void {
    this.#paths.add(path)
    const name = Buffer.from(`${path}\0`)
    const fields = [this.#paths.size, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0]
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
    this.#parts.push(padded(Buffer.concat([Buffer.from(header), name])), padded(content))
  }
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
}
