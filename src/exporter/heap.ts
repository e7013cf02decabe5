import { setFlagsFromString } from 'node:v8'

/** How much V8's heaps may grow before they are looked through again, in percent of what was in use. */
const growingPercent = 20

/**
 * Keeps the heaps of this process small, those of worker threads too: V8 lets a heap of 25 MiB grow to three times that
 * before it looks for garbage. An exporter makes little of it, so that looking more often costs no time that could be
 * measured, and runs on every node.
 */
export function keepHeapsSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${growingPercent}`)
}
