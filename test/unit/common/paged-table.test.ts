import { describe, expect, it } from 'vitest'
import { PageQuery, pagedTable, rowsPerPage } from '../../../src/common/paged-table.ts'

const items = Array.from({ length: 250 }, (_, index) => `pod-${index}`)

function page(url: string, of: readonly string[] = items): string {
  return pagedTable(new PageQuery(url), {
    ...{ name: 'pods', headers: ['pod'], items: of, empty: 'no pods' },
    text: (item) => item,
    cells: (item) => [item],
  }).text
}
const rows = (text: string): string[] => [...text.matchAll(/<td>(.*?)<\/td>/g)].map(([, cell = '']) => cell)

describe('pagedTable()', () => {
  it('shows the first page, and a way to the next', () => {
    const first = page('/')
    expect(rows(first)).toEqual(items.slice(0, rowsPerPage))
    expect(first).toContain('1 to 100 of 250')
    expect(first).toContain('href="?pods=2#pods"')
    expect(first).not.toContain('previous')
  })

  it('shows the last page, and none after it', () => {
    const last = page('/?pods=3')
    expect(rows(last)).toEqual(items.slice(200))
    expect(last).not.toContain('next')
    expect(page('/?pods=99')).toBe(last)
  })

  it.each(['/?pods=0', '/?pods=-1', '/?pods=x', '/?pods=1e99', '/?pods=1.5'])(
    'takes %s for the first',
    (url) => {
      expect(page(url)).toBe(page('/'))
    },
  )

  it('finds rows with all words, whatever their case, and keeps the words in links', () => {
    expect(rows(page('/?q=POD-24'))).toEqual(['pod-24', ...items.slice(240)])
    expect(rows(page('/?q=od-2+9'))).toEqual(
      items.filter((item) => item.includes('od-2') && item.includes('9')),
    )
    expect(page('/?q=pod')).toContain('href="?q=pod&amp;pods=2#pods"')
  })

  it('sorts what was found, and nothing else', () => {
    const sorted: string[][] = []
    const { text } = pagedTable(new PageQuery('/?q=pod-24'), {
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

  it('tells nothing at all from nothing that matches', () => {
    expect(page('/?q=nowhere')).toContain('nothing matches')
    expect(page('/', [])).toContain('no pods')
  })
})

describe('PageQuery', () => {
  it('escapes what was looked for, and cuts it', () => {
    const form = new PageQuery(`/?q=${encodeURIComponent(`"><script>${'x'.repeat(500)}`)}`).form('Show').text
    expect(form).toContain('value="&quot;&gt;&lt;script&gt;xxx')
    expect(form.length).toBeLessThan(600)
  })
})
