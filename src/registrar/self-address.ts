import { networkInterfaces } from 'node:os'

/** The address under which others reach this machine or pod: its first one that is not loopback, IPv4 before IPv6. */
export function selfAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  const outside = all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
  const chosen = outside.find(({ family }) => family === 'IPv4') ?? outside[0]
  return chosen?.address ?? '127.0.0.1'
}
