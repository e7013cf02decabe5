import { prepare } from '../../lab/needs.ts'

/** Unpacks the servers that the tests run, once, before any test file is loaded. */
export default async function setup(): Promise<void> {
  for (const [name, reason] of Object.entries(await prepare())) {
    console.warn(`podsonar tests: ${name} cannot be had, its tests are skipped: ${reason}`)
  }
}
