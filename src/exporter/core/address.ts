/** IP addresses as words: network byte order, read as big-endian int32. */

/** 127.0.0.0/8, also IPv6-mapped, and ::1. An IPv4 address is in word 0. */
export function isLoopback(words: Int32Array, family: 4 | 6): boolean {
  if (family === 4) return (words[0] ?? 0) >>> 24 === 127
  if (words[0] !== 0 || words[1] !== 0) return false
  return words[2] === 0xffff ? (words[3] ?? 0) >>> 24 === 127 : words[2] === 0 && words[3] === 1
}

/**
 * Text of the address whose four words begin at `at`: IPv6-mapped as plain IPv4, IPv6 as RFC 5952 writes it (lower
 * case, the longest run of two or more zero groups, the first of equals, as `::`).
 */
export function formatAddress(words: Int32Array, at = 0): string {
  const [first = 0, second = 0, third = 0, fourth = 0] = words.subarray(at, at + 4)
  if (first === 0 && second === 0 && third === 0xffff)
    return `${fourth >>> 24}.${(fourth >>> 16) & 255}.${(fourth >>> 8) & 255}.${fourth & 255}`
  const groups = [first, second, third, fourth].flatMap((word) => [word >>> 16, word & 0xffff])
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
