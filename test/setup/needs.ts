import { describe } from 'vitest'
import { missingFor, type Need } from '../../lab/needs.ts'

/** What nobody can expect of a machine that runs CI. */
const neverExpected: readonly Need[] = ['Kubernetes cluster']

/**
 * A `describe` for tests that need more than Node.js. Where that is missing they are skipped and their title says why;
 * with CI=true on a machine that should have it (Linux, root) that is a failure, unless it needs a cluster that is not ours.
 */
export function describeWith(needs: readonly Need[], title: string, body: () => void): void {
  const missing = needs.map((need) => missingFor(need)).filter((reason) => reason !== undefined)
  if (missing.length === 0) {
    describe(title, body)
    return
  }
  const reason = missing.join('; ')
  const expected = !needs.some((need) => neverExpected.includes(need) && missingFor(need) !== undefined)
  if (expected && process.env['CI'] === 'true' && process.getuid?.() === 0)
    throw new Error(`${title} cannot run in CI: ${reason}`)
  describe.skip(`${title} (skipped: ${reason})`, body)
}
