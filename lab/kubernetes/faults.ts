/** What can be made to go wrong with the simulated API server. */
import type { Subject } from './statuses.ts'

export type Verb = 'list' | 'watch' | 'get' | 'create' | 'update'

/** What happens to a request instead of its answer. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds?: number }
  /** The headers and half of the body, then the connection is reset. */
  | { readonly kind: 'cut' }
  /** Nothing, for ever. */
  | { readonly kind: 'hang' }

/** Which requests a fault meets. Undefined fields match all. */
export interface FaultScope {
  readonly verb?: Verb
  readonly resource?: string
  /** How many requests. @default 1 */
  readonly times?: number
  /** How many matching requests are answered well before. @default 0 */
  readonly after?: number
}

interface Armed {
  readonly fault: Fault
  readonly scope: FaultScope
  left: number
  toSkip: number
}

export class Faults {
  readonly #armed = new Set<Armed>()

  /** `times: Infinity` lasts until {@link clear}. */
  arm(fault: Fault, scope: FaultScope = {}): void {
    this.#armed.add({ fault, scope, left: scope.times ?? 1, toSkip: scope.after ?? 0 })
  }

  clear(): void {
    this.#armed.clear()
  }

  /** The fault that meets this request, used up once. */
  take({ verb, resource }: Pick<Subject, 'verb' | 'resource'>): Fault | undefined {
    for (const armed of this.#armed) {
      const { scope } = armed
      if (scope.verb !== undefined && scope.verb !== verb) continue
      if (scope.resource !== undefined && scope.resource !== resource) continue
      if (armed.toSkip > 0) {
        armed.toSkip -= 1
        continue
      }
      armed.left -= 1
      if (armed.left <= 0) this.#armed.delete(armed)
      return armed.fault
    }
    return undefined
  }
}
