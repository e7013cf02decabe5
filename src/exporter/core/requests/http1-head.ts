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

const requestLine = /^([A-Z][A-Z_-]{2,23}) ([\x21-\xff]+) HTTP\/(1\.[01])$/
const statusLine = /^HTTP\/(1\.[01]) ([1-5]\d\d)(?: .*)?$/s
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
    const match = statusLine.exec(line)
    if (match === null) return undefined
    return { version: match[1] ?? '', method: '', target: '', status: Number(match[2]) }
  }
  if (line === 'PRI * HTTP/2.0') return { version: '2', method: 'PRI', target: '*', status: 0 }
  const match = requestLine.exec(line)
  if (match === null) return undefined
  return { version: match[3] ?? '', method: match[1] ?? '', target: match[2] ?? '', status: 0 }
}

/** Reads the fields of a head, start line and last line break excluded. */
export function parseFields(text: string): HeadFields {
  const fields: HeadFields = {}
  for (let start = 0; start < text.length;) {
    let end = text.indexOf('\n', start)
    if (end < 0) end = text.length
    // Only fields that begin with C, H or T are of interest: c 0x63, h 0x68, t 0x74.
    const initial = text.charCodeAt(start) | 0x20
    if (initial === 0x63 || initial === 0x68 || initial === 0x74) {
      const colon = text.indexOf(':', start)
      if (colon > start && colon < end && colon - start <= 17)
        addField(fields, text.slice(start, colon).toLowerCase(), text.slice(colon + 1, end).trim())
    }
    start = end + 1
  }
  return fields
}

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
