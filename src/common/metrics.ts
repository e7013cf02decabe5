import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { version } from './version.ts'

/** A registry with what every mode tells of itself: process and Node.js figures, and `podsonar_build_info`. */
export function createRegistry(mode: string): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'podsonar_' })
  new Gauge({
    name: 'podsonar_build_info',
    help: 'Always 1; the labels say which podsonar this is.',
    labelNames: ['version', 'mode'],
    registers: [registry],
  }).set({ version, mode }, 1)
  return registry
}
