import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { stackStages } from '../../../../src/exporter/core/decode-stack.ts'
import { layers } from '../../../../src/monitor/core/arguments.ts'
import { ConnectionTracker } from '../../../../src/exporter/core/sidecar/connection-tracker.ts'
import { fit, table } from '../../../../src/monitor/core/format.ts'
import { renderPod, renderSummary, type Picture } from '../../../../src/monitor/core/render.ts'
import { SidecarTimes } from '../../../../src/monitor/core/sidecar.ts'
import { Rate, Summary } from '../../../../src/monitor/core/summary.ts'
import { totalsOf } from '../../../../src/monitor/core/totals.ts'
import { event, exchange, pod } from './scene.ts'

/** A golden screen: `UPDATE` of vitest (-u) writes it anew, people look at it. */
function golden(name: string): string {
  return fileURLToPath(new URL(`../../../fixtures/monitor/${name}.txt`, import.meta.url))
}

/** Ten seconds of a busy pod. */
function picture(isFinal = false): Picture {
  const [summary, sidecar, tracker] = [new Summary(0), new SidecarTimes(), new ConnectionTracker()]
  for (let n = 0; n < 1_500; n += 1) {
    const at = n * 5_000
    const caller = {
      of: 'proxy' as const,
      socket: BigInt(n),
      remoteAddress: `10.9.9.${n % 12}`,
      localPort: 15_006,
    }
    const inner = {
      of: 'proxy' as const,
      socket: BigInt(n + 10_000),
      remoteAddress: '127.0.0.1',
      remotePort: 8080,
    }
    for (const one of [
      event('accepted', at, { ...caller, rttNs: 200_000 }),
      event('connecting', at + 400 + (n % 50) * 10, inner),
      n % 100 === 0
        ? event('failed', at + 2_000, { ...inner, error: 111 })
        : event('connected', at + 950 + (n % 7) * 10, inner),
      event('closed', at + 4_000 + n, {
        ...caller,
        bytesReceived: 700,
        bytesSent: 52_000,
        retransmits: n % 250 === 0 ? 2 : 0,
      }),
    ]) {
      const change = tracker.add(one, pod)
      summary.addConnection(change)
      sidecar.add(change)
    }
    summary.addExchange(exchange(900 + (n % 90) * 40))
    if (n % 3 === 0)
      summary.addExchange(
        exchange(45_000, {
          route: '/users/{number}/orders/with/a/long/path/{uuid}',
          status: n % 30 === 0 ? 503 : 200,
        }),
      )
    if (n % 5 === 0)
      summary.addExchange(
        exchange(2_500, {
          side: 'client',
          grpc: { method: 'shop.Cart/Get', status: n % 50 === 0 ? 'UNAVAILABLE' : 'OK' },
        }),
      )
  }
  summary.look(10_000)
  const [received, sent] = [new Rate(), new Rate()]
  received.total = 12_345_678
  sent.total = 987_654_321
  for (const rate of [received, sent]) rate.take(10)
  return {
    ...{ pod, layers: new Set(layers), summary, sidecar, lost: 0, nowMs: 10_000, isFinal },
    states: new Map([
      ['ESTABLISHED', 12],
      ['TIME_WAIT', 1_400],
      ['LISTEN', 2],
      ['CLOSE_WAIT', 0],
    ]),
    stack: {
      stages: stackStages.map((_stage, stage) => ({
        sumSeconds: 1,
        buckets: Float64Array.from({ length: 22 }, (_bucket, bucket) =>
          bucket >= stage && bucket < stage + 6 ? 100 : 0,
        ),
      })),
      interfaces: [
        {
          traffic: {
            ...{ namespace: 1, name: 'eth0', receiveBytes: 12_345_678, receivePackets: 4_321 },
            ...{ transmitBytes: 987_654_321, transmitPackets: 98_765 },
          },
          ...{ received, sent },
        },
      ],
      drops: new Map([
        ['no_socket', 3],
        ['tcp_old_data', 17],
      ]),
    },
  }
}

describe('the summary of a monitor', () => {
  it.each([80, 200])('is as it was looked at by people, in %i columns', async (width) => {
    const lines = renderSummary(picture(), width, 5)

    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(width)
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(golden(`summary-${width}`))
  })

  it('has means of the whole time at the end', async () => {
    await expect(`${renderSummary(picture(true), 100, 20).join('\n')}\n`).toMatchFileSnapshot(
      golden('totals'),
    )
  })

  it('fits into any width', () => {
    for (const width of [20, 40, 61, 79])
      expect(Math.max(...renderSummary(picture(), width, 5).map(({ length }) => length))).toBeLessThanOrEqual(
        width,
      )
  })

  it('shows nothing of what is not looked at', () => {
    const text = renderSummary({ ...picture(), layers: new Set(['http']), stack: undefined }, 80, 5).join(
      '\n',
    )

    expect(text).toContain('HTTP requests served')
    expect(text).not.toMatch(/TCP|gRPC|network stack|sidecar/)
  })

  it('says that something was lost', () => {
    expect(renderSummary({ ...picture(), lost: 12 }, 80, 5).at(-1)).toMatch(/^12 events could not be told/)
  })

  it('says what was found', async () => {
    await expect(`${renderPod(pod, 'socket, stack').join('\n')}\n`).toMatchFileSnapshot(golden('pod'))
  })

  it('has the same figures for programs', () => {
    expect(totalsOf(picture(true))).toMatchObject({
      ...{ type: 'totals', namespace: 'shop', pod: 'web-0', seconds: 10 },
      connections: { accepted: 1_500, connected: 1_485, failed: 15, closed: 1_500, retransmits: 12 },
      sidecar: { processingSeconds: { count: 1_500 }, connectSeconds: { count: 1_485 } },
      requests: { 'http served': { total: 2_000, failed: 50 }, 'grpc made': { total: 300, failed: 30 } },
      stack: { dropped: { no_socket: 3 } },
    })
  })
})

describe('text for a terminal', () => {
  it('is cut with an ellipsis and cannot steer the terminal', () => {
    expect(fit('a\x1b[2Jb', 80)).toBe('a?[2Jb')
    expect(fit('abcdef', 4)).toBe('abc…')
    expect(
      table(
        [
          ['name', 'n'],
          ['a very long name', '12'],
        ],
        14,
      ),
    ).toEqual(['name         n', 'a very lo…  12'])
  })
})
