/** Label selectors of Kubernetes: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors */

/** One requirement of a label selector. */
interface Requirement {
  readonly label: string
  /** Undefined: the label must be there (or, negated, must not be), whatever its value. */
  readonly values: readonly string[] | undefined
  readonly negated: boolean
}

export type LabelSelector = readonly Requirement[]

const name = '((?:[A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[\\w.-]{0,61}[A-Za-z0-9])?)'
const value = '(?:[A-Za-z0-9](?:[\\w.-]{0,61}[A-Za-z0-9])?)?'
const forms: readonly (readonly [RegExp, negated: boolean])[] = [
  [new RegExp(`^${name}\\s*==?\\s*(${value})$`), false],
  [new RegExp(`^${name}\\s*!=\\s*(${value})$`), true],
  [new RegExp(`^${name}\\s+in\\s*\\((\\s*${value}\\s*(?:,\\s*${value}\\s*)*)\\)$`), false],
  [new RegExp(`^${name}\\s+notin\\s*\\((\\s*${value}\\s*(?:,\\s*${value}\\s*)*)\\)$`), true],
  [new RegExp(`^${name}$`), false],
  [new RegExp(`^!\\s*${name}$`), true],
]

/**
 * Parses a label selector of Kubernetes: `app=shop,tier in (web, api),!batch`.
 *
 * @returns undefined when it is none
 */
export function parseLabelSelector(text: string): LabelSelector | undefined {
  const requirements: Requirement[] = []
  for (const part of text.split(/,(?![^(]*\))/)) {
    const found = parseRequirement(part.trim())
    if (found === undefined) return undefined
    requirements.push(found)
  }
  return requirements
}

function parseRequirement(text: string): Requirement | undefined {
  for (const [form, negated] of forms) {
    const match = form.exec(text)
    if (match !== null)
      return { label: match[1] ?? '', values: match[2]?.split(',').map((one) => one.trim()), negated }
  }
  return undefined
}

/** What `!=` and `notin` say also holds for pods without the label, as in Kubernetes. */
export function matchesSelector(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return selector.every(({ label, values, negated }) => {
    const actual = labels[label]
    const holds = actual !== undefined && (values === undefined || values.includes(actual))
    return holds !== negated
  })
}
