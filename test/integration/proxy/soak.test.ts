import { expect, it } from 'vitest'
import { soak } from '../../../lab/proxy-soak.ts'

it(
  'keeps its memory and leaves no socket behind over many scrapes that fail in every way',
  { timeout: 180_000 },
  async () => {
    const { whole, missed, rssBytes, socketsLeft, complaints } = await soak({ scrapes: 2_000 })
    expect(complaints).toEqual([])
    expect(socketsLeft).toBe(0)
    expect(missed).toBe(0)
    // Half of the kubelets answer; a tenth of the scrapes are abandoned.
    expect(whole).toBeGreaterThan(600)
    const [half, end] = rssBytes
    expect(end / half).toBeLessThan(1.25)
  },
)
