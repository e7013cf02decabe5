/** Reads the text that /metrics answers. */

export interface MetricSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** All samples of an answer, in order. Throws at a line that is none, so that a test sees it. */
export function parseExposition(text: string): MetricSample[] {
  return text.split('\n').flatMap((line) => {
    if (line === '' || line.startsWith('#')) return []
    const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (match === null) throw new Error(`no sample: ${line}`)
    const [, name = '', labels = '', value = ''] = match
    const pairs = [...labels.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/g)]
    return [
      {
        name,
        labels: Object.fromEntries(
          pairs.map(([, key = '', raw = '']) => [
            key,
            raw.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
          ]),
        ),
        value: Number(value.replace('Inf', 'Infinity')),
      },
    ]
  })
}

/** GET /metrics. */
export async function scrape(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<MetricSample[]> {
  const response = await fetch(`${url}/metrics`, { headers })
  if (!response.ok) throw new Error(`GET /metrics: ${response.status}`)
  return parseExposition(await response.text())
}

/** The values of a family by the text of its labels that `key` picks; throws when two samples share one. */
export function valuesBy(
  samples: readonly MetricSample[],
  name: string,
  key: (labels: Readonly<Record<string, string>>) => string | undefined,
): Record<string, number> {
  const values: Record<string, number> = {}
  for (const sample of samples) {
    const text = sample.name === name ? key(sample.labels) : undefined
    if (text === undefined) continue
    if (text in values) throw new Error(`${name} has two samples for ${text}`)
    values[text] = sample.value
  }
  return values
}
