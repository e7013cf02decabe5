/** Huffman coded strings of header fields: RFC 7541 section 5.2 and appendix B. */
import huffman from 'hpack.js/lib/hpack/huffman.js'

/** Two places a node: where a 0 and a 1 lead. Negative: -1 - octet. 0: nowhere. */
const tree = buildTree()
const endOfString = 256

function buildTree(): Int16Array {
  const nodes = new Int16Array(2 * 600)
  let used = 1
  for (const [symbol, [bits, code]] of huffman.encode.entries()) {
    let node = 0
    for (let bit = bits - 1; bit >= 0; bit -= 1) {
      const at = 2 * node + ((code >>> bit) & 1)
      if (bit === 0) nodes[at] = -1 - symbol
      else node = nodes[at] ||= used++
    }
  }
  return nodes
}

/** Undefined for what is no such string: an end of string within, or padding that is none. */
export function decodeHuffman(data: Uint8Array, start: number, end: number): string | undefined {
  let text = ''
  let node = 0
  let depth = 0
  let ones = true
  for (let at = start; at < end; at += 1) {
    const octet = data[at] ?? 0
    for (let bit = 7; bit >= 0; bit -= 1) {
      const one = (octet >>> bit) & 1
      const next = tree[2 * node + one] ?? 0
      if (next < 0) {
        const symbol = -1 - next
        if (symbol === endOfString) return undefined
        text += String.fromCharCode(symbol)
        node = 0
        depth = 0
        ones = true
      } else {
        if (next === 0) return undefined
        node = next
        depth += 1
        ones &&= one === 1
      }
    }
  }
  return depth < 8 && ones ? text : undefined
}
