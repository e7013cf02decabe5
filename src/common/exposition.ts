/**
 * Metric families as text, for those with thousands of series: no object per series is kept.
 * Format: Prometheus text format 0.0.4 and OpenMetrics 1.0.0, whose sample lines are the same for what is used here.
 */
import { TextBuffer } from './text-buffer.ts'

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary'

export type ExpositionFormat = 'prometheus' | 'openmetrics'

/** Names and values of labels, in the order in which they are written. */
export type Labels = Readonly<Record<string, string>>

/** One observation, and the trace that it is of. */
export interface Exemplar {
  readonly labels: Labels
  readonly value: number
  /** Unix time. */
  readonly atSeconds: number
}

/** One metric family: its samples, in the order in which they were added. */
export class Family {
  readonly name: string
  readonly #type: MetricType
  readonly #help: string
  readonly #lines: TextBuffer
  /** What OpenMetrics has behind samples, and where in the lines. */
  readonly #exemplars: { readonly at: number; readonly text: string }[] = []
  #size = 0
  /** Where the beginning of the last sample is. */
  #last: { suffix: string; labels: string | undefined; from: number; to: number } = {
    ...{ suffix: '', labels: undefined, from: 0, to: 0 },
  }

  /** @param name with `_total` at its end when it is a counter */
  constructor(name: string, type: MetricType, help: string) {
    this.name = name
    this.#type = type
    this.#help = help
    this.#lines = new TextBuffer(name)
  }

  /** Number of samples. */
  get size(): number {
    return this.#size
  }

  /**
   * Adds a sample.
   *
   * @param labels what {@link renderLabels} gave, several of them joined by {@link joinLabels}, or empty
   * @param more labels behind these: samples that share `labels` come cheaper one after the other
   */
  add(labels: string, value: number, more = ''): void {
    this.#add('', labels, value, more)
  }

  /** Adds a sample whose name has a suffix: `_bucket`, `_sum` or `_count` of a histogram that was made elsewhere. */
  addSuffixed(suffix: string, labels: string, value: number): void {
    this.#add(suffix, labels, value)
  }

  /**
   * Adds a histogram.
   *
   * @param bounds upper bounds of the buckets, rising; the last bucket has none
   * @param buckets how many observations are in each bucket alone: one more than `bounds`
   * @param sum of the observations
   * @param exemplars one observation of each bucket, where there is one: only OpenMetrics gets them
   */
  addHistogram(
    labels: string,
    bounds: readonly number[],
    buckets: ArrayLike<number>,
    sum: number,
    exemplars: readonly (Exemplar | undefined)[] = [],
  ): void {
    let count = 0
    for (let index = 0; index <= bounds.length; index += 1) {
      count += buckets[index] ?? 0
      this.#add('_bucket', labels, count, `le="${formatValue(bounds[index] ?? Infinity)}"`)
      const exemplar = exemplars[index]
      if (exemplar !== undefined)
        this.#exemplars.push({ at: this.#lines.bytes.length - 1, text: renderExemplar(exemplar) })
    }
    this.#add('_sum', labels, sum)
    this.#add('_count', labels, count)
  }

  /**
   * Adds samples that the caller writes: whole lines with the family's name, for those whose labels are mostly the same.
   *
   * @param write gives the number of lines
   */
  addLines(write: (lines: TextBuffer) => number): void {
    this.#size += write(this.#lines)
  }

  #add(suffix: string, labels: string, value: number, more = ''): void {
    const lines = this.#lines
    const last = this.#last
    if (last.suffix === suffix && last.labels === labels) {
      lines.repeat(last.from, last.to)
    } else {
      const from = lines.length
      // Each part by itself: joined, they would be a new string for each sample.
      lines.ascii(this.name)
      lines.ascii(suffix)
      if (labels !== '') {
        lines.ascii('{')
        lines.text(labels)
      }
      this.#last = { suffix, labels, from, to: lines.length }
    }
    if (more !== '') {
      lines.ascii(labels === '' ? '{' : ',')
      lines.text(more)
    }
    lines.ascii(labels === '' && more === '' ? ' ' : '} ')
    lines.number(value)
    lines.ascii('\n')
    this.#size += 1
  }

  /** The lines before its samples; empty without samples. */
  header(format: ExpositionFormat): string {
    if (this.#size === 0) return ''
    const [name, type] =
      format === 'openmetrics' && this.#type === 'counter'
        ? this.#openMetricsCounter()
        : [this.name, this.#type]
    const help = this.#help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
    return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
  }

  /** Its samples, without exemplars; only until it is released. */
  get lines(): Uint8Array {
    return this.#lines.bytes
  }

  /** Header and samples, one piece after the other, valid until it is released; none without samples. */
  pieces(format: ExpositionFormat): Uint8Array[] {
    if (this.#size === 0) return []
    const { lines } = this
    const pieces: Uint8Array[] = [Buffer.from(this.header(format))]
    let from = 0
    for (const { at, text } of format === 'openmetrics' ? this.#exemplars : []) {
      pieces.push(lines.subarray(from, at), Buffer.from(text))
      from = at
    }
    pieces.push(lines.subarray(from))
    return pieces
  }

  /** The family as text; empty without samples. */
  render(format: ExpositionFormat): string {
    return Buffer.concat(this.pieces(format)).toString('utf8')
  }

  /** Gives its memory to the next family of this name, when nobody reads this one any more. */
  release(): void {
    this.#lines.release()
  }

  /** A counter's family is named without `_total` there; one whose sample lacks it (cAdvisor's) is no counter to it. */
  #openMetricsCounter(): [name: string, type: string] {
    return this.name.endsWith('_total')
      ? [this.name.slice(0, -'_total'.length), 'counter']
      : [this.name, 'unknown']
  }
}

/** `a="1",b="2"`: values escaped, names as they are. */
export function renderLabels(labels: Labels): string {
  let text = ''
  for (const name in labels) {
    text += `${text === '' ? '' : ','}${name}="${escapeValue(labels[name] ?? '')}"`
  }
  return text
}

/** Rendered labels one behind the other; empty parts do not count. */
export function joinLabels(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(',')
}

/** OpenMetrics 1.0.0, section Exemplars. */
function renderExemplar({ labels, value, atSeconds }: Exemplar): string {
  return ` # {${renderLabels(labels)}} ${formatValue(value)} ${atSeconds.toFixed(3)}`
}

function escapeValue(value: string): string {
  return /["\\\n]/.test(value)
    ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
    : value
}

function formatValue(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}

/** What of a label name is not allowed becomes `_`, as kube-state-metrics does. */
export function labelName(text: string): string {
  return text.replace(/[^a-zA-Z0-9_]/g, '_')
}
