/** A kubelet's cAdvisor page of a full node, made from the recorded one of a node with a few pods. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const recorded = new URL('../test/fixtures/kubelet/metrics-cadvisor-1.20.txt', import.meta.url)

/**
 * The recorded page with its pods repeated until there are `pods`: each with a name, ids and values of its own, families
 * in their order. The recorded pods have one small container each: 222 of them come to the 5 MB, 0.8 MB compressed, that are
 * usual for 110 pods of a real node.
 */
export function cadvisorPage(pods: number): string {
  const lines = readFileSync(recorded, 'utf8').trimEnd().split('\n')
  const uids = [...new Set(lines.flatMap((line) => /\/pod([0-9a-f-]{36})/.exec(line)?.[1] ?? []))]
  const copies = Math.ceil(pods / uids.length)
  return lines
    .flatMap((line) => {
      const uid = /\/pod([0-9a-f-]{36})/.exec(line)?.[1]
      if (uid === undefined) return [line]
      const room = copies - (uids.indexOf(uid) < pods - (copies - 1) * uids.length ? 0 : 1)
      return Array.from({ length: room }, (_, copy) => (copy === 0 ? line : repeated(line, copy)))
    })
    .concat('')
    .join('\n')
}

/** The line as another pod's: ids of 64, 32, 12 or 5 characters are replaced, and the value is another one. */
function repeated(line: string, copy: number): string {
  const labels = line
    .replace(/[0-9a-f]{64}/g, (id) => digest(id, copy).slice(0, 64))
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) => {
      const hex = digest(id, copy)
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
    })
    .replace(/pod="(web-[0-9a-z]+)-([0-9a-z]{5})"/, (_all, name: string, id: string) => {
      return `pod="${name}-${digest(id, copy).slice(0, 5)}"`
    })
  return labels.replace(/ ([0-9.e+]+) (\d+)$/, (_all, value: string, time: string) => {
    const factor = 1 + (parseInt(digest(line, copy).slice(0, 6), 16) % 10_000) / 10_000
    const other = Number(value) === 0 ? value : String(Number((Number(value) * factor).toPrecision(9)))
    return ` ${other} ${Number(time) + ((copy * 7_919) % 10_000)}`
  })
}

function digest(text: string, copy: number): string {
  return createHash('sha256').update(`${text} ${copy}`).digest('hex')
}
