/** Label and field selectors of the Kubernetes API, as far as equality, sets and existence. */

export type Selector = (values: Readonly<Record<string, string>>) => boolean

/**
 * Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
 *
 * @throws Error on anything else
 */
export function parseSelector(text: string): Selector {
  const terms = text.split(/,(?![^(]*\))/).filter((term) => term.trim() !== '')
  const tests = terms.map((term) => parseTerm(term.trim()))
  return (values) => tests.every((matches) => matches(values))
}

function parseTerm(term: string): Selector {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term)
  if (set !== null) {
    const [, key = '', operator, list = ''] = set
    const wanted = list.split(',').map((value) => value.trim())
    return (values) => wanted.includes(values[key] ?? '') === (operator === 'in')
  }
  const equality = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(term)
  if (equality !== null) {
    const [, key = '', operator, wanted] = equality
    return (values) => (values[key] === wanted) === (operator !== '!=')
  }
  const existence = /^(!?)([^\s=!]+)$/.exec(term)
  if (existence === null) throw new Error(`unable to parse requirement: ${term}`)
  const [, not, key = ''] = existence
  return (values) => key in values === (not === '')
}
