/**
 * Loaded into a registrar (`--import`): freezes it, the way SIGSTOP may at its worst moment, between deciding on a write of a
 * pod's service and sending it, for as long as the file FREEZE_WHILE_EXISTS exists. Not a turn of its event loop passes
 * meanwhile. That it happened is said by a file beside that one, with `.met` at its end.
 */
import { existsSync, writeFileSync } from 'node:fs'

interface Operation {
  readonly Service?: { readonly Service?: { readonly ID?: string } }
}

const order = process.env['FREEZE_WHILE_EXISTS'] ?? ''
const stringify = JSON.stringify
const still = new Int32Array(new SharedArrayBuffer(4))

// The body of a transaction is the last thing that is made before it is sent.
JSON.stringify = ((value: unknown, ...rest: []) => {
  const operations = Array.isArray(value) ? (value as Operation[]) : []
  const ofPods = operations.some(({ Service }) => Service?.Service?.ID?.startsWith('pod--') === true)
  if (ofPods && existsSync(order)) {
    writeFileSync(`${order}.met`, '')
    while (existsSync(order)) Atomics.wait(still, 0, 0, 50)
  }
  return stringify(value, ...rest)
}) as typeof JSON.stringify
