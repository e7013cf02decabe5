import { describe, expect, it } from 'vitest'
import { scrapeTarget, type ScrapeTarget } from '../../../src/kubernetes/scrape-target.ts'
import type { PortRecord } from '../../../src/kubernetes/records.ts'
import { pod } from '../../support/records.ts'

const annotated = (more: Record<string, string>) => ({
  annotations: Object.fromEntries(
    Object.entries({ scrape: 'true', ...more }).map(([key, value]) => [`prometheus.io/${key}`, value]),
  ),
})
const port = (number: number, name?: string, protocol: PortRecord['protocol'] = 'TCP'): PortRecord => ({
  port: number,
  name,
  protocol,
})
const target = (more: Record<string, string>, ports: PortRecord[] = []): ScrapeTarget => {
  const decision = scrapeTarget(pod({ ...annotated(more), ports }))
  expect(decision).toMatchObject({ kind: 'target' })
  return decision as ScrapeTarget
}
const reason = (more: Record<string, string>, changes: Parameters<typeof pod>[0] = {}) => {
  const decision = scrapeTarget(pod({ ...annotated(more), ...changes }))
  return decision.kind === 'skipped' ? decision.reason : decision.kind
}

describe('a pod is a target', () => {
  it('when it is annotated and runs, at /metrics over http by default', () => {
    expect(target({ port: '9090' })).toEqual({
      kind: 'target',
      ip: '10.0.0.1',
      ports: [9090],
      path: '/metrics',
      scheme: 'http',
      params: {},
      notes: [],
    })
  })

  it('with the scheme, path and params that its annotations name', () => {
    expect(target({ port: '1', scheme: 'HTTPS', path: '/federate?a=1', param_collect: 'cpu' })).toMatchObject(
      { scheme: 'https', path: '/federate', params: { a: '1', collect: 'cpu' } },
    )
  })

  it('on each port of a list, once', () => {
    expect(target({ port: '9090, 9091,9090' }).ports).toEqual([9090, 9091])
  })

  it('on the good ports of a list with a bad one, and says so', () => {
    const { ports, notes } = target({ port: '9090,http' })
    expect(ports).toEqual([9090])
    expect(notes).toEqual([
      'prometheus.io/port is "9090,http", expected ports from 1 to 65535, separated by commas: "http" left out',
    ])
  })

  it.each([
    ['metrics', [port(1), port(2, 'metrics')], 2],
    ['http-metrics', [port(1, 'http'), port(2, 'http-metrics')], 2],
    ['prometheus', [port(1, 'prometheus'), port(2, 'web')], 1],
    ['metrics before prometheus', [port(1, 'prometheus'), port(2, 'metrics')], 2],
    ['the only TCP port', [port(53, 'dns', 'UDP'), port(80, 'web')], 80],
  ])('without a port annotation on the container port %s', (_name, ports, wanted) => {
    expect(target({}, ports).ports).toEqual([wanted])
  })

  it('with a slash put before a path that lacks it, and says so', () => {
    const { path, notes } = target({ port: '1', path: 'stats/metrics' })
    expect(path).toBe('/stats/metrics')
    expect(notes[0]).toContain('"stats/metrics"')
  })
})

describe('a pod is skipped', () => {
  it.each(['abc', '0', '70000', '-1', '80.5', '1e3'])('with the port annotation %s', (text) => {
    expect(reason({ port: text })).toBe('invalid_port')
  })

  it.each(['Succeeded', 'Failed'])('when it is %s: its IP may belong to another by now', (phase) => {
    expect(reason({ port: '1' }, { phase })).toBe('finished')
  })

  it('while it has no IP', () => {
    expect(reason({ port: '1' }, { ip: undefined, phase: 'Pending' })).toBe('no_ip')
  })

  it('when its port cannot be told', () => {
    expect(reason({})).toBe('no_port')
    expect(reason({}, { ports: [port(53, undefined, 'UDP')] })).toBe('no_port')
    expect(reason({}, { ports: [port(1), port(2)] })).toBe('ambiguous_port')
  })

  it('when its path or scheme cannot be used', () => {
    expect(reason({ port: '1', path: '/a b' })).toBe('invalid_path')
    expect(reason({ port: '1', path: `/${'a'.repeat(512)}` })).toBe('invalid_path')
    expect(reason({ port: '1', scheme: 'ftp' })).toBe('invalid_scheme')
  })

  it('silently when it is not annotated with true', () => {
    expect(reason({ scrape: 'false' })).toBe('unmarked')
    expect(scrapeTarget(pod({ annotations: {} }))).toEqual({ kind: 'unmarked' })
  })
})
