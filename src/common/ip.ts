/** IP addresses as text: one canonical form to compare, and the ranges that are never another machine. Pure. */
import { BlockList, isIPv4, isIPv6 } from 'node:net'

/**
 * The canonical text of an IP address literal: dotted decimal without leading zeros, or IPv6 as RFC 5952 shortens it.
 * Undefined for anything else: names, octal or short IPv4, zones, brackets.
 */
export function canonicalIp(text: string): string | undefined {
  if (isIPv4(text)) return /(^|\.)0\d/.test(text) ? undefined : text
  if (!isIPv6(text) || text.includes('%')) return undefined
  return new URL(`http://[${text}]`).hostname.slice(1, -1)
}

/** `[fd00::1]` for IPv6, the address itself for IPv4, as URLs and `host:port` need it. */
export function bracketed(ip: string): string {
  return ip.includes(':') ? `[${ip}]` : ip
}

const mapped = ranges(['::ffff:0:0', 96, 'ipv6'])
const loopback = ranges(['127.0.0.0', 8, 'ipv4'], ['::1', 128, 'ipv6'])
const notAMachine = ranges(
  ['0.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
  ['::', 128, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
)

/** An IPv4 address in IPv6 clothes (`::ffff:10.0.0.1`): two texts for one machine, so nothing compares right. */
export function isV4Mapped(ip: string): boolean {
  return isIPv6(ip) && mapped.check(ip, 'ipv6')
}

export function isLoopback(ip: string): boolean {
  return loopback.check(ip, isIPv4(ip) ? 'ipv4' : 'ipv6')
}

/** Unspecified, link-local, multicast, reserved or broadcast: no node of a cluster can be at such an address. */
export function isNotAMachine(ip: string): boolean {
  return notAMachine.check(ip, isIPv4(ip) ? 'ipv4' : 'ipv6')
}

function ranges(...entries: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[]): BlockList {
  const list = new BlockList()
  for (const [net, prefix, family] of entries) list.addSubnet(net, prefix, family)
  return list
}
