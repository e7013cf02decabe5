/** Captures as tests make them: an exporter with a token, and its answers. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { once } from 'node:events'
import { TemporaryFolder } from '../../lab/files.ts'
import { unpackedEnvironment } from '../../lab/needs.ts'
import { Program } from '../../lab/program.ts'
import { readPackets } from '../../lab/tshark.ts'
import { waitFor } from '../../lab/wait.ts'
import { PcapFramer } from '../../src/capture/core/pcap.ts'

export const captureToken = 'correct-horse-battery'

/** An exporter that captures, on a runtime of the lab. */
export class CapturingExporter implements AsyncDisposable {
  readonly program: Program
  readonly url: string
  readonly folder: string
  readonly #owned: AsyncDisposableStack

  private constructor(owned: AsyncDisposableStack, program: Program, url: string, folder: string) {
    this.#owned = owned
    this.program = program
    this.url = url
    this.folder = folder
  }

  static async start(
    runtime: string,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<CapturingExporter> {
    await using owned = new AsyncDisposableStack()
    const { path: folder } = owned.use(await TemporaryFolder.create('capture'))
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, `${captureToken}\n`)
    const program = owned.use(
      await Program.start(['exporter'], {
        ...{ RUNTIME_ENDPOINT: runtime, CAPTURE: 'true', CAPTURE_TOKEN_FILE: tokenFile },
        ...{ COLLECTORS: 'sockstat', CONNECTIONS_SOURCE: 'procfs' },
        ...unpackedEnvironment('tcpdump'),
        ...settings,
      }),
    )
    const url = await program.url()
    return new CapturingExporter(owned.move(), program, url, folder)
  }

  /** Asks for a capture; resolves with the head of the answer. */
  async ask(
    query: Readonly<Record<string, string | number>>,
    token: string | null = captureToken,
  ): Promise<Answer> {
    const text = new URLSearchParams()
    for (const [name, value] of Object.entries(query)) text.set(name, String(value))
    const sent = request(`${this.url}/api/v1/capture?${text.toString()}`, {
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
    })
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    sent.on('error', () => undefined)
    return new Answer(response, join(this.folder, `${Math.random()}.pcap`))
  }

  /** Its child processes. */
  get children(): string[] {
    const { pid } = this.program.process
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter((one) => one.trim() !== '')
  }

  /** Network namespaces that it has open. */
  get openNamespaces(): string[] {
    const folder = `/proc/${this.program.process.pid}/fd`
    return readdirSync(folder)
      .map((fd) => {
        try {
          return readlinkSync(join(folder, fd))
        } catch {
          return ''
        }
      })
      .filter((target) => target.startsWith('net:['))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}

/** The answer to a capture. */
export class Answer {
  readonly response: IncomingMessage
  readonly #file: string
  readonly #chunks: Buffer[] = []
  readonly #framer = new PcapFramer()
  readonly ended: Promise<void>

  constructor(response: IncomingMessage, file: string) {
    this.response = response
    this.#file = file
    response.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      if (response.statusCode === 200) this.#framer.take(chunk)
    })
    this.ended = new Promise((resolve) => {
      response.on('end', resolve)
      response.on('error', () => {
        resolve()
      })
    })
  }

  get status(): number {
    return this.response.statusCode ?? 0
  }

  /** A refusal's body. */
  async refusal(): Promise<{ error: string; message: string }> {
    await this.ended
    return JSON.parse(Buffer.concat(this.#chunks).toString('utf8')) as { error: string; message: string }
  }

  /** Packets so far. */
  get packets(): number {
    return this.#framer.packets
  }

  /** Waits until so many packets are there. */
  async has(packets: number): Promise<void> {
    await waitFor(`${packets} packets`, () => this.packets >= packets, { timeoutMs: 20_000 })
  }

  /** How it ended, by the trailers. */
  async end(): Promise<string | undefined> {
    await this.ended
    return this.response.trailers['x-capture-end']
  }

  /** Reads back what came so far, with tshark, which fails on a file that is cut. */
  async read<const F extends string>(fields: readonly F[]): Promise<Record<F, string>[]> {
    await writeFile(this.#file, Buffer.concat(this.#chunks))
    return readPackets(this.#file, fields)
  }
}

/** Whether every tcpdump that a process started has its ring of packets, and so sees what comes from now on. */
export function capturesOf(pid: number): boolean {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  return children.every((child) => {
    const file = (name: string): string => readFileSync(`/proc/${child}/${name}`, 'utf8')
    const decodes = file('cmdline').includes('\0-r\0')
    return file('comm') === 'tcpdump\n' && (decodes || /socket:\[\d+\]/.test(file('maps')))
  })
}
