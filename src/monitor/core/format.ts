/** Figures for people: short, and always as wide as they may become. */

/** `870ns`, `12.3µs`, `4.56ms`, `1.2s`; `-` for none. */
export function duration(ns: number | undefined): string {
  if (ns === undefined) return '-'
  for (const [unit, size] of [
    ['s', 1e9],
    ['ms', 1e6],
    ['µs', 1e3],
  ] as const)
    if (ns >= size) return `${digits(ns / size)}${unit}`
  return `${Math.round(ns)}ns`
}

/** `812`, `1.2k`, `3.4M`. */
export function count(value: number): string {
  for (const [unit, size] of [
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const)
    if (value >= size) return `${digits(value / size)}${unit}`
  return value > 0 && value < 10 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value))
}

/** `640B`, `1.2kB`, `3.4MB`. */
export function bytes(value: number): string {
  return `${count(value)}B`
}

/** `1:23`, `2:03:04`. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds)
  const two = (value: number): string => String(value).padStart(2, '0')
  const [hours, minutes] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

function digits(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** Cut to `width` characters, with an ellipsis where something is missing. What could steer a terminal becomes `?`. */
export function fit(text: string, width: number): string {
  const plain = text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?')
  return plain.length <= width ? plain : `${plain.slice(0, Math.max(0, width - 1))}…`
}

/**
 * Rows as lines: the first column takes what the others leave of `width`, the others are as wide as they need and stand right.
 *
 * @param rows all of the same length; the first is the header
 */
export function table(rows: readonly (readonly string[])[], width: number): string[] {
  const widths = (rows[0] ?? []).map((_title, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
  const others = widths.slice(1).reduce((sum, one) => sum + one + 2, 0)
  const first = Math.max(8, Math.min(widths[0] ?? 0, width - others))
  return rows.map((row) =>
    fit(
      row
        .map((cell, column) =>
          column === 0 ? fit(cell, first).padEnd(first) : cell.padStart(widths[column] ?? 0),
        )
        .join('  '),
      width,
    ).trimEnd(),
  )
}
