/** Name templates: text with `{cluster}` and the like in it. */

export type Placeholder = 'cluster' | 'namespace' | 'pod' | 'workload' | 'shard' | 'node' | 'ip'

/** The defaults, which are the seed program's names: one per pod and per node. */
export const seedPodName = 'pod--{namespace}--{pod}'
export const seedNodeName = 'node--{ip}'

/** Fills a template. A placeholder without a value becomes an empty text. */
export type Template = (values: Readonly<Partial<Record<Placeholder, string>>>) => string

/** Prepares a template for many fillings. Its placeholders were checked when the settings were read. */
export function compileTemplate(text: string): Template {
  // Texts and placeholders take turns.
  const parts = text
    .split(/\{(\w+)\}/)
    .map((part, index) => (index % 2 === 0 ? { text: part } : { placeholder: part as Placeholder }))
  return (values) => {
    let filled = ''
    for (const part of parts)
      filled += part.placeholder === undefined ? part.text : (values[part.placeholder] ?? '')
    return filled
  }
}
