/** Label selectors, as `-l` takes them: `app=web,tier!=cache,canary,!old,env in (a,b)`. */
import { PodsonarError } from '../../common/errors.ts'

/** Whether labels are selected. */
export type LabelSelector = (labels: Readonly<Record<string, string>>) => boolean

const name = '[A-Za-z0-9](?:[\\w./-]{0,250}[A-Za-z0-9])?'
const equality = new RegExp(`^(${name})\\s*(==?|!=)\\s*([\\w.-]{0,63})$`)
const existence = new RegExp(`^(!?)\\s*(${name})$`)
const membership = new RegExp(`^(${name})\\s+(in|notin)\\s*\\(([\\w.,\\s-]*)\\)$`)

/** @throws PodsonarError `bad_selector` */
export function parseSelector(text: string): LabelSelector {
  const terms = text.split(/,(?![^(]*\))/).map((term) => parseTerm(term.trim(), text))
  return (labels) => terms.every((term) => term(labels))
}

function parseTerm(term: string, whole: string): LabelSelector {
  const equal = equality.exec(term)
  if (equal !== null) {
    const [, key = '', operator, value = ''] = equal
    return (labels) => (labels[key] === value) === (operator !== '!=')
  }
  const exists = existence.exec(term)
  if (exists !== null) {
    const [, not, key = ''] = exists
    return (labels) => (labels[key] !== undefined) === (not === '')
  }
  const member = membership.exec(term)
  if (member !== null) {
    const [, key = '', operator, list = ''] = member
    const values = list.split(',').map((value) => value.trim())
    return (labels) => {
      const value = labels[key]
      return (value !== undefined && values.includes(value)) === (operator === 'in')
    }
  }
  throw new PodsonarError(
    'bad_selector',
    `Cannot use the label selector ${JSON.stringify(whole)}: ${JSON.stringify(term)} is no term, expected app=web or the like`,
  )
}
