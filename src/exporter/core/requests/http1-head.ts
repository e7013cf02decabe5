/** Heads of HTTP/1 messages: RFC 9112 sections 2 to 6. Only what framing, labels and spans need is kept. */

/** What a head says. */
export interface Head {
  /** `1.0` or `1.1`; `2` for the beginning of HTTP/2 with prior knowledge. */
  readonly version: string
  /** Of a request. */
  readonly method: string
  readonly target: string
  /** Of a response; 0 for a request. */
  readonly status: number
  readonly fields: HeadFields
}

export interface HeadFields {
  /** Undefined: none. NaN: several that differ, or no number. */
  contentLength?: number
  chunked?: boolean
  /** Transfer codings of which chunked is not the last. */
  otherCoding?: boolean
  host?: string
  traceparent?: string
}

/** Longest start line and longest head, in bytes, that is looked at. */
const maxStartLine = 8_192
export const maxHead = 16_384

const methodToken = /^[A-Z][A-Z_-]{2,23}$/
const requestBeginning = /^[A-Z](?:[A-Z_-]{0,23}|[A-Z_-]{2,23} [\x21-\xff]*(?: [HTP/1.02]{0,8})?)\r?$/
const statusBeginning =
  /^(?:H|HT|HTT|HTTP|HTTP\/|HTTP\/1|HTTP\/1\.|HTTP\/1\.[01](?: [1-5]?\d{0,2}(?: .*)?)?)$/s

/** Whether a start line that has not ended yet can still become one. */
export function mayBecomeHead(text: string): boolean {
  return text.length <= maxStartLine && (requestBeginning.test(text) || statusBeginning.test(text))
}

/** Parses a start line without its end; undefined when it is none. */
export function parseStartLine(line: string): Omit<Head, 'fields'> | undefined {
  if (line.startsWith('HTTP/')) {
    const version = versionOf(line, 0)
    const status = statusOf(line)
    return version === undefined || status === undefined
      ? undefined
      : { version, method: '', target: '', status }
  }
  if (line === 'PRI * HTTP/2.0') return { version: '2', method: 'PRI', target: '*', status: 0 }
  const targetAt = line.indexOf(' ') + 1
  const versionAt = line.length - versionLength
  const version = versionOf(line, versionAt)
  if (targetAt === 0 || targetAt >= versionAt - 1 || version === undefined) return undefined
  if (line.charCodeAt(versionAt - 1) !== space) return undefined
  const method = methodOf(line, targetAt - 1)
  if (method === undefined) return undefined
  for (let at = targetAt; at < versionAt - 1; at += 1) if (line.charCodeAt(at) <= space) return undefined
  return { version, method, target: line.slice(targetAt, versionAt - 1), status: 0 }
}

const space = 0x20
/** Of `HTTP/1.1`. */
const versionLength = 8

/** `1.0` or `1.1`, where `HTTP/` and that is there. */
function versionOf(line: string, at: number): string | undefined {
  if (at < 0 || !line.startsWith('HTTP/1.', at)) return undefined
  const minor = line.charCodeAt(at + 7)
  return minor === 0x31 ? '1.1' : minor === 0x30 ? '1.0' : undefined
}

/** The three digits behind the version, from 100 to 599, with nothing behind them but what a space parts from them. */
function statusOf(line: string): number | undefined {
  if (line.charCodeAt(8) !== space || (line.length > 12 && line.charCodeAt(12) !== space)) return undefined
  const hundreds = line.charCodeAt(9) - 0x30
  const tens = line.charCodeAt(10) - 0x30
  const ones = line.charCodeAt(11) - 0x30
  const isNumber = hundreds >= 1 && hundreds <= 5 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9
  return isNumber ? hundreds * 100 + tens * 10 + ones : undefined
}

/** The first `length` characters, when they are a method. */
function methodOf(line: string, length: number): string | undefined {
  if (length === 3 && line.startsWith('GET')) return 'GET'
  const method = line.slice(0, length)
  return methodToken.test(method) ? method : undefined
}

/** Reads the fields of a head that are in this part of a text: start line and last line break excluded. */
export function parseFields(text: string, from = 0, to = text.length): HeadFields {
  const fields: HeadFields = {}
  for (let start = from; start < to;) {
    let end = text.indexOf('\n', start)
    if (end < 0 || end > to) end = to
    const length = nameLength(text, start)
    if (length > 0 && start + length < end)
      addField(
        fields,
        text.slice(start, start + length).toLowerCase(),
        text.slice(start + length + 1, end).trim(),
      )
    start = end + 1
  }
  return fields
}

/** The length of a field's name, where it may be one of those that are of interest: by its initial and where its colon is. */
function nameLength(text: string, start: number): number {
  switch (text.charCodeAt(start) | 0x20) {
    case 0x63: // c
      return text.charCodeAt(start + 14) === colon ? 14 : 0 // content-length
    case 0x68: // h
      return text.charCodeAt(start + 4) === colon ? 4 : 0 // host
    case 0x74: // t
      return text.charCodeAt(start + 11) === colon ? 11 : text.charCodeAt(start + 17) === colon ? 17 : 0 // traceparent, transfer-encoding
    default:
      return 0
  }
}

const colon = 0x3a

function addField(fields: HeadFields, name: string, value: string): void {
  switch (name) {
    case 'content-length': {
      const length = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
      fields.contentLength =
        fields.contentLength === undefined || fields.contentLength === length ? length : Number.NaN
      break
    }
    case 'transfer-encoding':
      fields.chunked = /(?:^|,)\s*chunked$/i.test(value)
      fields.otherCoding = !fields.chunked
      break
    case 'host':
      fields.host = value
      break
    case 'traceparent':
      fields.traceparent = value
      break
  }
}
