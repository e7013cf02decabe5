import { closeSync, openSync, readSync } from 'node:fs'

/** Grows with the largest file; one per thread. */
let buffer = Buffer.allocUnsafeSlow(64 << 10)

/**
 * A whole small file of the kernel as text, a character a byte: `readFileSync` takes 64 KiB of new memory for each file of
 * unknown length, which are all of /proc and the cgroup file systems.
 *
 * @param atOnce the kernel gives the file by one read, if there is room for it: no second one has to show its end
 * @throws the file system's error
 */
export function readText(path: string, atOnce = false): string {
  const descriptor = openSync(path, 'r')
  try {
    let length = 0
    for (;;) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, null)
      length += read
      if (read === 0 || (atOnce && length < buffer.length)) return buffer.toString('latin1', 0, length)
      if (length === buffer.length) buffer = Buffer.concat([buffer], length * 2)
    }
  } finally {
    closeSync(descriptor)
  }
}
