/** Name templates: text with `{cluster}` and the like in it. */

export type Placeholder = 'cluster' | 'namespace' | 'pod' | 'workload' | 'shard' | 'node' | 'ip'

/** The defaults, which are the seed program's names: one per pod and per node. */
export const seedPodName = 'pod--{namespace}--{pod}'
export const seedNodeName = 'node--{ip}'

/** Fills a template. A placeholder without a value becomes an empty text. */
export type Template = (values: Readonly<Partial<Record<Placeholder, string>>>) => string

/** Prepares a template for many fillings. Its placeholders were checked when the settings were read. */
export function compileTemplate(text: string): Template {
  const parts = text.split(/\{(\w+)\}/)
  return (values) => {
    let filled = ''
    // Texts and placeholders take turns.
    for (const [index, part] of parts.entries()) {
      filled += index % 2 === 0 ? part : (values[part as Placeholder] ?? '')
    }
    return filled
  }
}
