import type { Family } from '../common/exposition.ts'
import type { Snapshot } from './core/containers.ts'

/** Makes the metrics of one topic. Each has a file of its own in collectors/. */
export interface Collector {
  /** As COLLECTORS knows it. */
  readonly name: string
  /**
   * The topic's families for what is on the node. What cannot be read of a single container or namespace is left out and
   * counted; never zero in its place.
   *
   * @param signal aborted when the scrape cannot wait any longer
   * @throws when the whole topic failed: it is then absent from the answer
   */
  collect(snapshot: Snapshot, signal: AbortSignal): Promise<readonly Family[]>
}
