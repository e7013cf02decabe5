import type { Agent } from 'node:http'

/**
 * Closes the connections that an agent keeps for later. Where one turned out to be forgotten on the way, those beside it most
 * likely are too, and each would cost a time-out of its own.
 */
export function dropIdleSockets({ freeSockets }: Agent): void {
  for (const sockets of Object.values(freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}
