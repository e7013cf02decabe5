import { performance } from 'node:perf_hooks'
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { EventLoopTurns } from './event-loop.ts'
import { version } from './version.ts'

const prefix = 'podsonar_'

/** What prom-client finds out by a timer, which cannot be left out: its interval is in all of them, and it wakes the process. */
const byTimer = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99']
/** The longest that a timer may take, 25 days, in milliseconds. */
const hardlyEver = 2 ** 31 - 1

/** A registry with what every mode tells of itself: process and Node.js figures, and `podsonar_build_info`. */
export function createRegistry(mode: string, turns: EventLoopTurns): Registry {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix, eventLoopMonitoringPrecision: hardlyEver })
  for (const figure of byTimer) registry.removeSingleMetric(`${prefix}nodejs_eventloop_lag_${figure}_seconds`)
  new Gauge({
    name: `${prefix}nodejs_eventloop_lag_max_seconds`,
    help: 'The longest turn of the event loop since this was last asked for: whatever came meanwhile waited so long.',
    registers,
    collect() {
      this.set(turns.takeLongestMs() / 1_000)
    },
  })
  new Counter({
    name: `${prefix}nodejs_eventloop_active_seconds_total`,
    help: 'Time that the event loop was at work: its rate is the part of the time in which it could not take anything new.',
    registers,
    collect() {
      this.reset()
      this.inc(performance.eventLoopUtilization().active / 1_000)
    },
  })
  new Gauge({
    name: `${prefix}build_info`,
    help: 'Always 1; the labels say which podsonar this is.',
    labelNames: ['version', 'mode'],
    registers,
  }).set({ version, mode }, 1)
  return registry
}
