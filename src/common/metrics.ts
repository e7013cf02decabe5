import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { version } from './version.ts'

/** How often the lag of the event loop is looked at, in milliseconds: each look wakes the process. */
const lagEveryMs = 250

/** A registry with what every mode tells of itself: process and Node.js figures, and `podsonar_build_info`. */
export function createRegistry(mode: string): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'podsonar_', eventLoopMonitoringPrecision: lagEveryMs })
  new Gauge({
    name: 'podsonar_build_info',
    help: 'Always 1; the labels say which podsonar this is.',
    labelNames: ['version', 'mode'],
    registers: [registry],
  }).set({ version, mode }, 1)
  return registry
}
