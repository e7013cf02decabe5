import { setFlagsFromString } from 'node:v8'

/** How much V8's heaps may grow before they are looked through again, in percent of what was in use. */
const growingPercent = 20

/**
 * Keeps the heaps of this process small from now on, those of worker threads too: V8 lets a heap of 25 MiB grow to three times
 * that before it looks for garbage. For a program that makes little of it: looking more often then costs no time that could
 * be measured.
 */
export function keepHeapsSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${growingPercent}`)
}
