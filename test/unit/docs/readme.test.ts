import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const root = new URL('../../../', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, root), 'utf8')
const [english, chinese] = ['README.md', 'README.zh-CN.md'].map(read) as [string, string]

/** The matches of a pattern's first group, in their order. */
const all = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, group = '']) => group)

/** Without what each says in its own language: comments, and placeholders. */
function commands(text: string): string[] {
  return all(text, /```\w*\n(.*?)```/gs).map((block) =>
    block
      .replaceAll(/ +#.*$/gm, '')
      .replaceAll(/<[^>]+>/g, '<…>')
      .trim(),
  )
}

/** Modes, settings, paths and the like: what stands in backquotes outside of blocks and is the same in every language. */
function terms(text: string): string[] {
  const spans = all(text.replaceAll(/```.*?```/gs, ''), /`([^`\n]+)`/g).filter((span) =>
    /^[\x20-\x7e]+$/.test(span),
  )
  return [...new Set(spans)].filter((span) => !span.includes('<')).sort()
}

/** Links, the way to the other language left out. Two languages may name two things in another order. */
const links = (text: string): string[] =>
  all(text, /\]\(([^)]+)\)/g)
    .filter((link) => !link.startsWith('README'))
    .sort()

it('README.md and README.zh-CN.md have the same sections', () => {
  const levels = (text: string): string[] => all(text.replaceAll(/```.*?```/gs, ''), /^(#+) /gm)
  expect(levels(chinese)).toEqual(levels(english))
  expect(levels(english).length).toBeGreaterThan(10)
})

it('README.md and README.zh-CN.md have the same commands', () => {
  expect(commands(chinese)).toEqual(commands(english))
})

it('README.md and README.zh-CN.md name the same settings, paths and programs', () => {
  expect(terms(chinese)).toEqual(terms(english))
})

it('README.md and README.zh-CN.md have the same links, and each leads somewhere', () => {
  expect(links(chinese)).toEqual(links(english))
  for (const link of links(english)) expect(existsSync(new URL(link, root)), link).toBe(true)
})

it('README.md and README.zh-CN.md have tables of the same size', () => {
  const rows = (text: string): number => all(text, /^(\|)/gm).length
  expect(rows(chinese)).toBe(rows(english))
})
