import { describe, expect, it } from 'vitest'
import { PageQuery, rowsPerPage } from '../../../src/common/paged-table.ts'
import type { NodeRecord } from '../../../src/kubernetes/records.ts'
import type { LastScrape } from '../../../src/proxy/last-scrapes.ts'
import { proxyPage, type PageState } from '../../../src/proxy/page.ts'

const node = (name: string): NodeRecord => ({
  ...{ uid: name, name, internalIps: ['10.0.0.1', 'fd00::1'], kubeletPort: 10_250, ready: true, labels: {} },
})
const ok: LastScrape = { atMs: 90_000, code: 'ok', seconds: 0.5, bytes: 812_345, error: undefined }
const failed = (message: string): LastScrape => ({
  ...{ atMs: 40_000, code: 'upstream_auth', seconds: 0.1, bytes: 0, error: { atMs: 40_000, message } },
})

function page(
  scrapes: Readonly<Record<string, LastScrape | undefined>>,
  more: Partial<PageState> = {},
): Promise<string> {
  return proxyPage({
    nodes: Object.keys(scrapes).map(node),
    lastScrape: (name) => scrapes[name],
    query: new PageQuery('/'),
    ...{ reasons: {}, notes: {}, paths: ['/metrics/cadvisor'], inFlight: 3, nowMs: 100_000, ...more },
  })
}

describe('the page of the proxy', () => {
  it('shows of each node where it is, its last scrape, and its last error', async () => {
    const text = await page({ a: ok, b: failed('b answered 401'), c: undefined })
    expect(text).toContain('10.0.0.1 fd00::1')
    expect(text).toMatch(/ok<\/span>, 10 s ago, 0\.500 s, 812\.3 kB/)
    expect(text).toMatch(/upstream_auth<\/span>, 60 s ago/)
    expect(text).toMatch(/<span class="bad">answered 401<\/span> 60 s ago/)
    expect(text).toContain('never')
  })

  it('shows failing nodes first, however many nodes there are', async () => {
    const many = Array.from({ length: 2 * rowsPerPage }, (_, index): [string, LastScrape] => [
      `node-${index}`,
      ok,
    ])
    const text = await page({ ...Object.fromEntries(many), 'z-last': failed('no') })
    expect(text.indexOf('z-last')).toBeGreaterThan(0)
    expect(text.indexOf('z-last')).toBeLessThan(text.indexOf('node-0'))
  })

  it('says what is wrong although it is ready, and why it is not', async () => {
    expect(await page({}, { notes: { nodes: 'connection refused' } })).toMatch(/Ready<[^]*connection refused/)
    expect(await page({}, { reasons: { token: 'no such file' } })).toMatch(/Not ready<[^]*no such file/)
  })

  it('takes no markup from a node', async () => {
    const text = await page({ '<b>': failed('<script>') })
    expect(text).not.toMatch(/<script>|<b>/)
    expect(text).toContain('&lt;script&gt;')
  })
})
