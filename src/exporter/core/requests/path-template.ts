/** What of a request's target may become a label: never the query, never an identifier. */

const maxSegments = 8
const maxSegment = 48
const maxTemplate = 128

/**
 * A low-cardinality form of a request target of any form (RFC 9112 section 3.2): numbers, UUIDs, hashes, tokens, addresses and
 * what is not plain text are folded; what is deeper than eight segments is `**`.
 *
 * @returns `/users/{number}/posts`; `*` for the server itself; empty where there is no path (CONNECT)
 */
export function pathTemplate(target: string): string {
  const known = recent.get(target)
  if (known !== undefined) return known
  const template = templateOf(target)
  if (target.length <= maxRemembered) {
    if (recent.size >= maxRecent) recent.clear()
    recent.set(target, template)
  }
  return template
}

/** Templates of targets that came up lately: most requests repeat one. */
const recent = new Map<string, string>()
const maxRecent = 1_000
const maxRemembered = 200

function templateOf(target: string): string {
  const path = pathOf(target)
  if (path === '' || path === '*') return path
  const segments = path.slice(1).split('/', maxSegments + 1)
  const folded = segments.slice(0, maxSegments).map(foldSegment)
  if (segments.length > maxSegments) folded.push('**')
  const template = `/${folded.join('/')}`
  return template.length <= maxTemplate
    ? template
    : `${template.slice(0, template.lastIndexOf('/', maxTemplate))}/**`
}

/** Without scheme, authority, query and fragment. */
function pathOf(target: string): string {
  const end = target.search(/[?#]/)
  const bare = end < 0 ? target : target.slice(0, end)
  if (bare.startsWith('/') || bare === '*') return bare
  const absolute = /^[a-z][a-z0-9+.-]*:\/\/[^/]*(\/.*)?$/i.exec(bare)
  return absolute === null ? '' : (absolute[1] ?? '/')
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi
/** Hexadecimal of eight or more, a digit among it. */
const hash = /(?<![0-9a-z])(?=[a-f]*\d)[0-9a-f]{8,}(?![0-9a-z])/gi
const number = /(?<![0-9A-Za-z])\d+(?![0-9A-Za-z])/g

function foldSegment(segment: string): string {
  if (/^[a-z_-]{0,48}$/i.test(segment)) return isToken(segment) ? '{token}' : segment
  if (/^\d+$/.test(segment)) return '{number}'
  // Percent signs hide spaces, names and binary; @ and = are in addresses and matrix parameters; braces are ours.
  if (/[^\w.~!$'()*+,:-]/.test(segment)) return '{text}'
  const folded = segment.replace(uuid, '{uuid}').replace(hash, '{hash}').replace(number, '{number}')
  if (folded !== segment) return folded.length <= maxSegment && !hasToken(folded) ? folded : '{text}'
  if (segment.length > maxSegment) return '{text}'
  return hasToken(segment) ? '{token}' : segment
}

/** A word between punctuation that is a token. */
function hasToken(segment: string): boolean {
  return segment.split(/[^0-9A-Za-z]+/).some(isToken)
}

/** What encodes an identifier rather than says something: long and with digits among its letters, or in both cases in disorder. */
function isToken(word: string): boolean {
  if (word.length < 12) return false
  const digits = word.match(/\d/g)?.length ?? 0
  if (digits >= 2 && digits < word.length) return true
  const changes = word.match(/[a-z][A-Z]|[A-Z]{2}[a-z]/g)?.length ?? 0
  return word.length >= 16 && changes > word.length / 4
}
