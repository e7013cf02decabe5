import { describe, expect, it } from 'vitest'
import { renderScreen } from '../../../demo/screen.ts'
import type { SeenTarget } from '../../../demo/target-view.ts'

const target: SeenTarget = {
  job: 'kubernetes-pods',
  cluster: 'demo',
  shard: 'shard-1',
  subject: 'shop/web-0',
  url: 'http://127.0.10.2:9090/metrics',
  health: 'up',
  error: '',
  scrapedAtMs: 1_000,
}
const screen = {
  title: 'demo',
  links: [['proxy', 'http://127.0.0.1:1']],
  events: ['10:00  shop/web-0 goes'],
  nowMs: 2_500,
  columns: 160,
} as const

describe('renderScreen()', () => {
  it('shows each target with job, cluster, shard, address, health and the age of its last scrape', () => {
    const text = renderScreen({ ...screen, targets: [target] })
    expect(text).toMatch(
      /kubernetes-pods +demo +shard-1 +shop\/web-0 +127\.0\.10\.2:9090\/metrics +up +1\.5 s ago/,
    )
    expect(text).toContain('1 of 1 targets up')
    expect(text).toContain('shop/web-0 goes')
  })

  it('cuts addresses, so that a line fits and health stays in sight', () => {
    const long = { ...target, url: `http://127.0.10.2:9090/${'a'.repeat(200)}` }
    const lines = renderScreen({ ...screen, columns: 100, targets: [long] }).split('\n')
    const row = lines.find((line) => line.startsWith('kubernetes-pods'))
    expect(row?.length).toBeLessThanOrEqual(100)
    expect(row).toMatch(/… +up/)
  })

  it('says nothing of a scrape that has not been', () => {
    expect(
      renderScreen({ ...screen, targets: [{ ...target, health: 'unknown', scrapedAtMs: undefined }] }),
    ).toMatch(/unknown +–/)
  })
})
