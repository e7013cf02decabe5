import type { CaptureOutcome, CaptureProgress } from './capture.ts'

/** How often people are told, in milliseconds: on a terminal, where one line is written over, and elsewhere. */
const everyMs = { terminal: 1_000, elsewhere: 10_000 } as const

/** Tells people on stderr how a capture goes. */
export class Progress implements Disposable {
  readonly #out: NodeJS.WriteStream
  readonly #endsAtMs: number | undefined
  readonly #parts = new Map<string, CaptureProgress>()
  readonly #timer: NodeJS.Timeout

  /** @param seconds how long it is to take; undefined: not known */
  constructor(out: NodeJS.WriteStream, seconds: number | undefined) {
    this.#out = out
    this.#endsAtMs = seconds === undefined ? undefined : performance.now() + seconds * 1_000
    this.#timer = setInterval(
      () => {
        this.#show(out.isTTY ? '\r\x1b[K' : '', out.isTTY ? '' : '\n')
      },
      out.isTTY ? everyMs.terminal : everyMs.elsewhere,
    )
  }

  /** How far the capture called `label` is. */
  update(label: string, progress: CaptureProgress): void {
    this.#parts.set(label, progress)
  }

  /** A sentence of its own. */
  say(text: string): void {
    this.#out.write(`${this.#out.isTTY ? '\r\x1b[K' : ''}podsonar: ${text}\n`)
  }

  /** The last words about one capture. */
  finished(label: string, outcome: CaptureOutcome): void {
    this.update(label, outcome)
    const { reason, seconds, failure } = outcome
    const why = { ...reasons, failed: `tcpdump ended: ${failure ?? 'it does not say why'}` }[reason]
    this.say(`${label}: ${describe(outcome)} in ${seconds.toFixed(1)} s: ${why}`)
  }

  #show(before: string, after: string): void {
    const parts = [...this.#parts.values()]
    const sum = (pick: (part: CaptureProgress) => number): number =>
      parts.reduce((total, part) => total + pick(part), 0)
    const whole: CaptureProgress = {
      packets: sum(({ packets }) => packets),
      bytes: sum(({ bytes }) => bytes),
      dropped: parts.every(({ dropped }) => dropped === undefined)
        ? undefined
        : sum(({ dropped }) => dropped ?? 0),
    }
    const leftMs = this.#endsAtMs === undefined ? undefined : Math.max(0, this.#endsAtMs - performance.now())
    const left = leftMs === undefined ? 'Ctrl-C ends it' : `${Math.ceil(leftMs / 1_000)} s left`
    this.#out.write(`${before}podsonar: ${describe(whole)}, ${left}${after}`)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

const reasons = {
  seconds: 'its time was over',
  bytes: 'it was as large as it may get',
  pod_gone: 'the pod is gone',
  stopped: 'stopped',
  client_gone: 'nobody reads it any more',
} as const

function describe({ packets, bytes, dropped }: CaptureProgress): string {
  const lost = dropped === undefined ? '' : `, ${dropped} dropped by the kernel`
  return `${packets} packets, ${(bytes / 1e6).toFixed(bytes < 1e6 ? 3 : 1)} MB${lost}`
}
