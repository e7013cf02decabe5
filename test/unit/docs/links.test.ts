import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const pages = ['*.md', 'docs/**/*.md', 'deploy/**/*.md'].flatMap((pattern) =>
  globSync(pattern, { cwd: root }),
)

/** GitHub's anchors: the headings' words with dashes, without marks. */
function anchors(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title)
  return new Set(
    headings.map((title) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

it('every link of the docs to a file of this repository leads to one, and to a heading that is there', () => {
  expect(pages.length).toBeGreaterThan(40)
  const broken = pages.flatMap((page) => {
    const text = readFileSync(join(root, page), 'utf8').replaceAll(/```.*?```|`[^`\n]*`/gs, '')
    return [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(([, path = '', anchor]) => {
      const file = path === '' ? join(root, page) : join(root, dirname(page), path)
      if (!existsSync(file)) return [`${page}: ${path}`]
      if (anchor === undefined || anchors(readFileSync(file, 'utf8')).has(anchor)) return []
      return [`${page}: ${path}#${anchor}`]
    })
  })
  expect(broken).toEqual([])
})

it('every picture of the docs is shown somewhere, and small', () => {
  const all = pages.map((page) => readFileSync(join(root, page), 'utf8')).join('\n')
  const pictures = globSync('docs/images/*', { cwd: root })
  expect(pictures.length).toBeGreaterThan(0)
  for (const picture of pictures) {
    expect(all).toContain(picture.replace('docs/', ''))
    expect(readFileSync(join(root, picture)).length, picture).toBeLessThan(200_000)
  }
})
