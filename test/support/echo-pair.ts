/**
 * Both ends of checked traffic, for containers: `echo-pair.ts serve PORT` answers with what it gets, `echo-pair.ts ask HOST PORT`
 * sends messages of all sizes, one at a time, compares every byte of the answers, and connects again when a connection is lost.
 * It prints `wrong` on the first difference and ends; without one, each second how many answers were right.
 */
import { once } from 'node:events'
import { createServer, connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const [role, ...rest] = process.argv.slice(2)
if (role === 'serve') {
  createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined).pipe(socket)
  }).listen(Number(rest[0]), '::')
} else await ask(rest[0] ?? '', Number(rest[1]))

async function ask(host: string, port: number): Promise<void> {
  let right = 0
  setInterval(() => {
    console.log('right', right)
  }, 1_000)
  for (;;) {
    const socket = connect({ host, port, noDelay: true })
    socket.on('error', () => undefined)
    try {
      await once(socket, 'connect')
      for (let k = 0; k < 200; k += 1) {
        const message = Buffer.alloc(1 + ((k * 7_919) % 70_000), `${k} of ${process.pid}, `)
        socket.write(message)
        const answer = await read(socket, message.length)
        if (answer === undefined) break
        if (!answer.equals(message)) {
          console.log('wrong', k, message.length)
          process.exit(1)
        }
        right += 1
      }
    } catch {
      await delay(50)
    }
    socket.destroy()
  }
}

/** Undefined when the connection ends before. */
async function read(socket: ReturnType<typeof connect>, length: number): Promise<Buffer | undefined> {
  const parts: Buffer[] = []
  for (let left = length; left > 0;) {
    const part = socket.read(Math.min(left, socket.readableLength || 1)) as Buffer | null
    if (part === null) {
      if (socket.readableEnded || socket.destroyed) return undefined
      await Promise.race([once(socket, 'readable'), once(socket, 'close'), once(socket, 'end')])
      continue
    }
    parts.push(part)
    left -= part.length
  }
  return Buffer.concat(parts)
}
