import type { Agent, AgentOptions } from 'node:http'

/** A kubelet closes connections that are idle for 90 s: ours are gone before, so that none is used while it closes. */
export const idleMs = 85_000
/** Idle connections kept per target: as many as scrapes of one node may run by default. */
const idlePerTarget = 8

/** Two agents that connect in the same way. */
export class Agents {
  /** Keeps connections. */
  readonly kept: Agent
  /** A new connection each time: for the one retry after a kept one turned out dead. */
  readonly fresh: Agent

  /**
   * @param make makes an agent with these options and what else its connections need
   * @param timeout after which an idle connection is closed, in milliseconds
   */
  constructor(make: (options: AgentOptions) => Agent, timeout: number = idleMs) {
    this.kept = make({ keepAlive: true, timeout, maxFreeSockets: idlePerTarget })
    this.fresh = make({ keepAlive: false })
  }

  /** Open connections: those that a scrape uses, and those that wait for the next. */
  get connections(): { readonly active: number; readonly idle: number } {
    return {
      active: count(this.kept.sockets) + count(this.fresh.sockets),
      idle: count(this.kept.freeSockets),
    }
  }

  /** Closes idle connections now and the others when their scrape ends. */
  retire(): void {
    this.kept.maxFreeSockets = 0
    for (const sockets of Object.values(this.kept.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy()
    }
  }
}

function count(sockets: Agent['sockets']): number {
  return Object.values(sockets).reduce((sum, list) => sum + (list?.length ?? 0), 0)
}
