/** The two tables of hpack.js that are used; the package has no types of its own. */
declare module 'hpack.js/lib/hpack/huffman.js' {
  const huffman: {
    /** By octet, then the end of the string: number of bits, and the bits. */
    readonly encode: readonly (readonly [bits: number, code: number])[]
  }
  export default huffman
}
declare module 'hpack.js/lib/hpack/static-table.js' {
  const staticTable: {
    /** Without the place 0 that no index names. */
    readonly table: readonly { readonly name: string; readonly value: string }[]
  }
  export default staticTable
}
