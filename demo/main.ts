/**
 * `npm run demo`: podsonar at work, without a cluster. `-- --check` runs it once and asserts it; `-- --cluster CONTEXT` uses a
 * real cluster. Ctrl-C ends everything that it started.
 */
import { parseArgs } from 'node:util'
import { pause } from '../src/common/lifecycle.ts'
import { check } from './check.ts'
import { describeChange, type DemoCluster } from './cluster.ts'
import { Demo } from './demo.ts'
import { RealCluster } from './real-cluster.ts'
import { draw, openScreen, renderScreen, step } from './screen.ts'
import { SimulatedCluster } from './simulated-cluster.ts'

const usage = `npm run demo                       podsonar at work on a simulated cluster, until Ctrl-C
npm run demo -- --check            once, without a terminal: prints one JSON line, exits 0 or 1
npm run demo -- --embedded         without Consul and Prometheus: the registrar's embedded catalog, a small reader
npm run demo -- --cluster CONTEXT  on a real cluster of ~/.kube/config, in a namespace of its own; asks first
    --image IMAGE                  for its pods: an image with busybox (busybox:1.36)`

/** Seconds between changes of the cluster. */
const changeEveryMs = 6_000

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      check: { type: 'boolean' },
      cluster: { type: 'string' },
      image: { type: 'string', default: 'busybox:1.36' },
      embedded: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) {
    console.log(usage)
    return
  }
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      stop.abort(new Error('stopped'))
    })
  }
  const { cluster: context, image, embedded } = values
  const startCluster = (exporterPort: number): Promise<DemoCluster> =>
    context === undefined
      ? step('starting a simulated cluster', () => SimulatedCluster.start(exporterPort))
      : RealCluster.start({ context, image })
  await using demo = await Demo.start({ startCluster, embedded, signal: stop.signal })
  if (values.check === true) console.log(JSON.stringify(await check(demo)))
  else await show(demo, stop.signal)
}

/** The live table, until `signal`. Without a terminal it prints a table at each change. */
async function show(demo: Demo, signal: AbortSignal): Promise<void> {
  const { cluster, directory, links, view } = demo.parts
  const live = process.stdout.isTTY
  using _screen = live ? openScreen() : undefined
  const events: string[] = []
  const title = `podsonar demo: ${cluster.description} → ${directory.name} → ${view.name}`
  let changeAtMs = Date.now() + 2 * changeEveryMs
  while (!signal.aborted) {
    const nowMs = Date.now()
    if (nowMs >= changeAtMs) {
      changeAtMs = nowMs + changeEveryMs
      events.push(`${new Date(nowMs).toLocaleTimeString()}  ${describeChange(await cluster.change())}`)
      events.splice(0, events.length - 6)
    }
    const columns = process.stdout.columns || 160
    const text = renderScreen({
      title,
      links: links,
      targets: await demo.targets(),
      events,
      nowMs,
      columns,
    })
    if (live) draw(text)
    else console.log(text)
    await pause(live ? 500 : changeEveryMs, signal)
  }
}

main().catch((error: unknown) => {
  console.error(`podsonar demo: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
