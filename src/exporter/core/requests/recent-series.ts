/** Series of exchanges that came up lately, found without their labels being made: most exchanges are like one before. */
import type { Exchange } from './exchange.ts'

/** What of an exchange decides on its series. */
interface Known<Series> {
  readonly owner: string
  readonly side: Exchange['side']
  readonly method: string
  readonly status: number | undefined
  readonly version: string
  readonly scheme: Exchange['scheme']
  /** Of clients: a server's is in no label. */
  readonly authority: string | undefined
  readonly grpcMethod: string | undefined
  readonly grpcStatus: string | undefined
  readonly series: Series
}

/** Routes that are remembered, and series of each of them, at most. */
const maxRoutes = 1_000
const maxOfRoute = 32

export class RecentSeries<Series> {
  readonly #byRoute = new Map<string | undefined, Known<Series>[]>()

  /** Undefined: not remembered. */
  of(owner: string, exchange: Exchange): Series | undefined {
    const all = this.#byRoute.get(exchange.route)
    if (all === undefined) return undefined
    for (const known of all) if (isAlike(known, owner, exchange)) return known.series
    return undefined
  }

  remember(owner: string, exchange: Exchange, series: Series): void {
    const { route, side, method, status, version, scheme, grpc } = exchange
    let all = this.#byRoute.get(route)
    if (all === undefined) {
      if (this.#byRoute.size >= maxRoutes) this.clear()
      this.#byRoute.set(route, (all = []))
    }
    if (all.length >= maxOfRoute) all.length = 0
    const authority = authorityOf(exchange)
    const [grpcMethod, grpcStatus] = [grpc?.method, grpc?.status]
    all.push({ owner, side, method, status, version, scheme, authority, grpcMethod, grpcStatus, series })
  }

  /** Forgets all: some of the series have ended. */
  clear(): void {
    this.#byRoute.clear()
  }
}

function isAlike(known: Known<unknown>, owner: string, exchange: Exchange): boolean {
  return (
    known.status === exchange.status &&
    known.owner === owner &&
    known.method === exchange.method &&
    known.side === exchange.side &&
    known.version === exchange.version &&
    known.scheme === exchange.scheme &&
    known.authority === authorityOf(exchange) &&
    known.grpcMethod === exchange.grpc?.method &&
    known.grpcStatus === exchange.grpc?.status
  )
}

function authorityOf({ side, authority }: Exchange): string | undefined {
  return side === 'client' ? authority : undefined
}
