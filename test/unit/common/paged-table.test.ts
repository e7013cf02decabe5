import { describe, expect, it } from 'vitest'
import { PageQuery, pagedTable, rowsPerPage } from '../../../src/common/paged-table.ts'

const items = Array.from({ length: 250 }, (_, index) => `pod-${index}`)

async function page(url: string, of: readonly string[] = items): Promise<string> {
  const { text } = await pagedTable(new PageQuery(url), {
    ...{ name: 'pods', headers: ['pod'], items: of, empty: 'no pods' },
    text: (item) => item,
    cells: (item) => [item],
  })
  return text
}
const rows = (text: string): string[] => [...text.matchAll(/<td>(.*?)<\/td>/g)].map(([, cell = '']) => cell)

describe('pagedTable()', () => {
  it('shows the first page, and a way to the next', async () => {
    const first = await page('/')
    expect(rows(first)).toEqual(items.slice(0, rowsPerPage))
    expect(first).toContain('1 to 100 of 250')
    expect(first).toContain('href="?pods=2#pods"')
    expect(first).not.toContain('previous')
  })

  it('shows the last page, and none after it', async () => {
    const last = await page('/?pods=3')
    expect(rows(last)).toEqual(items.slice(200))
    expect(last).not.toContain('next')
    expect(await page('/?pods=99')).toBe(last)
  })

  it.each(['/?pods=0', '/?pods=-1', '/?pods=x', '/?pods=1e99', '/?pods=1.5'])(
    'takes %s for the first',
    async (url) => {
      expect(await page(url)).toBe(await page('/'))
    },
  )

  it('finds rows with all words, whatever their case, and keeps the words in links', async () => {
    expect(rows(await page('/?q=POD-24'))).toEqual(['pod-24', ...items.slice(240)])
    expect(rows(await page('/?q=od-2+9'))).toEqual(
      items.filter((item) => item.includes('od-2') && item.includes('9')),
    )
    expect(await page('/?q=pod')).toContain('href="?q=pod&amp;pods=2#pods"')
  })

  it('sorts what was found, and nothing else', async () => {
    const sorted: string[][] = []
    const { text } = await pagedTable(new PageQuery('/?q=pod-24'), {
      ...{ name: 'pods', headers: ['pod'], items: items.toReversed(), empty: 'no pods' },
      order: (found) => {
        found.sort()
        sorted.push([...found])
      },
      text: (item) => item,
      cells: (item) => [item],
    })

    expect(rows(text)).toEqual(['pod-24', ...items.slice(240)])
    expect(sorted).toEqual([rows(text)])
  })

  it('lets others work while it looks through many', async () => {
    let [turns, done] = [0, false]
    const others = (): void => {
      turns += 1
      if (!done) setImmediate(others)
    }
    setImmediate(others)
    await pagedTable(new PageQuery('/?q=9'), {
      ...{ name: 'pods', headers: ['pod'], items, empty: 'no pods' },
      text: (item) => {
        const began = performance.now()
        while (performance.now() - began < 0.2);
        return item
      },
      cells: (item) => [item],
    })
    done = true
    expect(turns).toBeGreaterThan(1)
  })

  it('tells nothing at all from nothing that matches', async () => {
    expect(await page('/?q=nowhere')).toContain('nothing matches')
    expect(await page('/', [])).toContain('no pods')
  })
})

describe('PageQuery', () => {
  it('escapes what was looked for, and cuts it', () => {
    const form = new PageQuery(`/?q=${encodeURIComponent(`"><script>${'x'.repeat(500)}`)}`).form('Show').text
    expect(form).toContain('value="&quot;&gt;&lt;script&gt;xxx')
    expect(form.length).toBeLessThan(600)
  })
})
