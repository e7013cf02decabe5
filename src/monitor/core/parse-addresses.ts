/** The addresses of a network namespace, from files of /proc/PID/net. */
import { addressText } from '../../exporter/core/requests/decode-event.ts'

/** Addresses that are a host's own and no loopback, from net/fib_trie: `|-- ADDRESS` and below it `/32 host LOCAL`. */
export function parseFibTrie(text: string): string[] {
  const found = text.matchAll(/\|-- (\d+\.\d+\.\d+\.\d+)\n\s+\/32 host LOCAL\n/g)
  return [...new Set([...found].map(([, address = '']) => address))].filter(
    (address) => !address.startsWith('127.'),
  )
}

/** Addresses from net/if_inet6, without loopback (scope 10) and link-local ones (scope 20). */
export function parseIfInet6(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [hex = '', , , scope] = line.trim().split(/\s+/)
    if (!/^[0-9a-f]{32}$/.test(hex) || scope === '10' || scope === '20') return []
    return [addressText(Uint8Array.from(Buffer.from(hex, 'hex')), true)]
  })
}
