/** Where the packets of `podsonar capture` go: into a pcap, merged into a pcapng, or decoded to lines. */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { version } from '../common/version.ts'
import { PodsonarError } from '../common/errors.ts'
import type { CaptureOutcome, PacketSink } from './capture.ts'
import { PcapngInterface, sectionHeader } from './core/pcapng.ts'
import { complaint, withoutInterfaceName } from './core/tcpdump-output.ts'
import { streamSink } from './stream-sink.ts'
import { startDecoder } from './tcpdump.ts'

/** Takes the packets of one or several captures. */
export interface CaptureOutput {
  /** Where the packets of the capture called `label` go. */
  sinkFor(label: string): PacketSink
  /** The capture called `label` is over. */
  finish(label: string, outcome: CaptureOutcome): void
  /** Writes the rest. @throws PodsonarError `decoder_failed` */
  close(): Promise<void>
}

/** One pcap, as it comes. */
export class PcapOutput implements CaptureOutput {
  readonly #stream: Writable

  constructor(stream: Writable) {
    this.#stream = stream
  }

  sinkFor(): PacketSink {
    return streamSink(this.#stream)
  }

  finish(): void {
    // A pcap has no place for it.
  }

  close(): Promise<void> {
    return closeStream(this.#stream)
  }
}

/** One pcapng with an interface for each capture, packets in the order in which they arrive. */
export class PcapngOutput implements CaptureOutput {
  readonly #stream: Writable
  readonly #filter: string
  readonly #interfaces = new Map<string, PcapngInterface>()

  constructor(stream: Writable, filter: string) {
    this.#stream = stream
    this.#filter = filter
    stream.write(sectionHeader(`podsonar ${version}`))
  }

  sinkFor(label: string): PacketSink {
    const sink = streamSink(this.#stream)
    return {
      drained: () => sink.drained(),
      write: (pieces) => {
        // Numbered as their descriptions come in the file.
        const known = this.#interfaces.get(label)
        const to = known ?? new PcapngInterface(this.#interfaces.size, label, this.#filter)
        this.#interfaces.set(label, to)
        return sink.write(to.convert(Buffer.concat(pieces)))
      },
    }
  }

  finish(label: string, { received, dropped }: CaptureOutcome): void {
    const known = this.#interfaces.get(label)
    if (known !== undefined && !this.#stream.destroyed)
      this.#stream.write(known.statistics(received, dropped))
  }

  close(): Promise<void> {
    return closeStream(this.#stream)
  }
}

/** Lines as tcpdump prints them, by a tcpdump for each capture; with several captures each line names its own. */
export class DecodedOutput implements CaptureOutput {
  readonly #out: Writable
  readonly #several: boolean
  readonly #closing: (() => Promise<void>)[] = []

  constructor(out: Writable, several: boolean) {
    this.#out = out
    this.#several = several
  }

  sinkFor(label: string): PacketSink {
    const decoder = startDecoder()
    const lines = createInterface({ input: decoder.stdout })
    lines.on('line', (raw) => {
      const line = withoutInterfaceName(raw)
      this.#out.write(this.#several ? `${label}: ${line}\n` : `${line}\n`)
    })
    let stderr = ''
    decoder.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-4_096)))
    decoder.stdin.on('error', () => undefined)
    let problem: string | undefined
    const ended = once(decoder, 'close').then(
      ([code]: unknown[]) => {
        if (code !== 0) problem = complaint(stderr) || `it ended with ${String(code)}`
      },
      (error: unknown) => {
        decoder.stdin.destroy()
        problem = `${String(error)}, expected tcpdump on the PATH, or -w FILE`
      },
    )
    this.#closing.push(async () => {
      decoder.stdin.end()
      await ended
      if (problem !== undefined)
        throw new PodsonarError('decoder_failed', `Cannot print packets: tcpdump: ${problem}`)
    })
    return streamSink(decoder.stdin)
  }

  finish(): void {
    // Told by the summary.
  }

  async close(): Promise<void> {
    await Promise.all(this.#closing.map((close) => close()))
  }
}

/** Ends a stream of ours; stdout stays open, for what is written yet. */
async function closeStream(stream: Writable): Promise<void> {
  if (stream.destroyed) return
  if (stream === process.stdout) {
    if (stream.writableLength > 0) await Promise.race([once(stream, 'drain'), once(stream, 'close')])
    return
  }
  const finished = once(stream, 'finish')
  stream.end()
  await finished
}
