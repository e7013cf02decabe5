/**
 * The addresses of a network namespace: /proc/PID/net/fib_trie (net/ipv4/fib_trie.c) for IPv4, if_inet6
 * (net/ipv6/addrconf.c) for IPv6. Loopback and link-local ones are left out: other pods do not know them.
 */
import { formatAddress } from './address.ts'

/**
 * IPv4 addresses, each once: in the trie each stands above a line `/32 host LOCAL`.
 *
 *     |-- 10.42.0.7
 *        /32 host LOCAL
 */
export function parseFibTrie(text: string): string[] {
  const found = text.matchAll(/\|-- (\d+\.\d+\.\d+\.\d+)\n\s+\/32 host LOCAL\n/g)
  return [...new Set([...found].map(([, address = '']) => address))].filter((one) => !one.startsWith('127.'))
}

/**
 * IPv6 addresses of global scope (0):
 *
 *     fd00000000000000000000000000002a 02 40 00 80     eth0
 */
export function parseIfInet6(text: string): string[] {
  const found = text.matchAll(/^([0-9a-f]{32}) [0-9a-f]+ [0-9a-f]+ 00 /gm)
  return [...found].map(([, hex = '']) =>
    formatAddress(Int32Array.from([0, 8, 16, 24], (at) => Number.parseInt(hex.slice(at, at + 8), 16))),
  )
}
