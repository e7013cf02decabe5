import { describe, expect, it } from 'vitest'
import { html, renderPage, table } from '../../../src/common/html.ts'

describe('html``', () => {
  it('escapes what it embeds', () => {
    expect(html`<p title="${'"<&'}">${"<script>'"}</p>`.text).toBe(
      '<p title="&quot;&lt;&amp;">&lt;script&gt;&#39;</p>',
    )
  })

  it('keeps nested HTML, joins lists and leaves nothing for undefined and false', () => {
    const items = [html`<li>1</li>`, html`<li>2</li>`]
    expect(html`<ul>${items}${undefined}${false}</ul>`.text).toBe('<ul><li>1</li><li>2</li></ul>')
  })
})

describe('table()', () => {
  it('says so when there is nothing', () => {
    expect(table(['a'], [], 'no pods yet').text).toContain('no pods yet')
  })
})

describe('renderPage()', () => {
  it('is whole without JavaScript and loads nothing from elsewhere', () => {
    const page = renderPage({ mode: 'proxy', version: '1', body: html`<h2>Nodes</h2>` })
    expect(page).toContain('<h2>Nodes</h2>')
    expect(page).not.toMatch(/<script|src=|@import|url\(|href="http/)
  })
})
