/** `npm run demo -- --check`: the demo once, without a terminal, with every promise asserted. */
import { waitFor } from '../lab/wait.ts'
import type { ClusterChange } from './cluster.ts'
import type { Demo } from './demo.ts'
import type { SeenTarget } from './target-view.ts'

/** The one line that the check prints. */
export interface CheckResult {
  readonly ok: true
  readonly directory: string
  readonly viewer: string
  readonly containers: string
  /** Targets, all up, before the first change. */
  readonly targets: number
  /** From the change in the cluster until it shows, and its target is up or gone, in milliseconds. */
  readonly comesMs: number
  readonly movesMs: number
  readonly goesMs: number
}

/** How long anything may take to show, in milliseconds; Prometheus takes 5 s to believe a new target. */
const patienceMs = 60_000

/** @throws Error that says what did not come true */
export async function check(demo: Demo): Promise<CheckResult> {
  const { cluster, directory, view, containers } = demo.parts
  const targets = await everyTargetUp(demo)
  const times: Partial<Record<ClusterChange['kind'], number>> = {}
  for (const _change of ['comes', 'moves', 'goes']) {
    const change = await cluster.change()
    const started = performance.now()
    await everyTargetUp(demo, change)
    times[change.kind] = Math.round(performance.now() - started)
  }
  const { comes = NaN, moves = NaN, goes = NaN } = times
  return {
    ok: true,
    directory: directory.name,
    viewer: view.name,
    containers,
    targets,
    comesMs: comes,
    movesMs: moves,
    goesMs: goes,
  }
}

/** Waits until exactly the expected targets are there and all are up, the changed one at its new address. */
async function everyTargetUp(demo: Demo, change?: ClusterChange): Promise<number> {
  let seen: readonly SeenTarget[] = []
  const wrong = (): string | undefined => {
    const subjects = seen.map(({ subject }) => subject).toSorted()
    const expected = demo.parts.cluster.expected().toSorted()
    if (JSON.stringify(subjects) !== JSON.stringify(expected))
      return `targets are ${subjects.join(' ')}, expected ${expected.join(' ')}`
    const down = seen.find(({ health }) => health !== 'up')
    if (down !== undefined) return `${down.subject} (${down.url}) is ${down.health}: ${down.error}`
    const moved = seen.find(({ subject }) => subject === change?.subject)
    if (change?.address !== undefined && moved?.url.includes(change.address) !== true) {
      return `${change.subject} is scraped at ${moved?.url ?? 'nothing'}, expected ${change.address}`
    }
    return undefined
  }
  try {
    await waitFor(
      'the targets',
      async () => {
        seen = await demo.targets()
        return wrong() === undefined
      },
      { timeoutMs: patienceMs, everyMs: 100 },
    )
  } catch (cause) {
    throw new Error(
      `${change === undefined ? 'At the start' : `After ${change.subject} ${change.kind}`}: ${wrong() ?? 'no answer'}`,
      { cause },
    )
  }
  return seen.length
}
