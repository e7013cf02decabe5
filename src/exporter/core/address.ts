/** IP addresses as words: network byte order, read as big-endian int32. */

/** 127.0.0.0/8, also IPv6-mapped, and ::1. The address begins at word `at`; an IPv4 address is only that. */
export function isLoopback(words: Int32Array, family: 4 | 6, at = 0): boolean {
  if (family === 4) return (words[at] ?? 0) >>> 24 === 127
  if (words[at] !== 0 || words[at + 1] !== 0) return false
  const [third, fourth = 0] = [words[at + 2], words[at + 3]]
  return third === 0xffff ? fourth >>> 24 === 127 : third === 0 && fourth === 1
}

/** Whether the address whose four words begin at `at` is an IPv4 address in its IPv6-mapped form. */
export function isMapped(words: Int32Array, at = 0): boolean {
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff
}

/**
 * Text of the address whose four words begin at `at`: IPv6-mapped as plain IPv4, IPv6 as RFC 5952 writes it (lower
 * case, the longest run of two or more zero groups, the first of equals, as `::`).
 */
export function formatAddress(words: Int32Array, at = 0): string {
  const own = words.subarray(at, at + 4)
  const last = own[3] ?? 0
  if (isMapped(own)) return `${last >>> 24}.${(last >>> 16) & 255}.${(last >>> 8) & 255}.${last & 255}`
  const groups = Array.from(own).flatMap((word) => [word >>> 16, word & 0xffff])
  let longest = { start: 0, length: 1 }
  for (let start = 0; start < 8; start += 1) {
    let length = 0
    while (groups[start + length] === 0) length += 1
    if (length > longest.length) longest = { start, length }
  }
  const hex = groups.map((group) => group.toString(16))
  if (longest.length < 2) return hex.join(':')
  return `${hex.slice(0, longest.start).join(':')}::${hex.slice(longest.start + longest.length).join(':')}`
}
