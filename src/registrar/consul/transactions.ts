import { ConsulError } from './errors.ts'
import type { ConsulHttp } from './http.ts'

/** One operation of /v1/txn on a service of the catalog. */
export interface TransactionOperation {
  readonly Service: {
    readonly Verb: 'set' | 'cas' | 'delete'
    readonly Node: string
    readonly Service: {
      readonly ID: string
      readonly Service: string
      readonly Address?: string
      readonly Port?: number
      readonly Tags?: readonly string[]
      readonly Meta?: Readonly<Record<string, string>>
      /** With `cas`: what the service must have, or nothing of the transaction is done. */
      readonly ModifyIndex?: number
    }
  }
}

/** What belongs together and is applied or refused as one: a rename is a `delete` and a `set`. */
export interface Item<T> {
  readonly subject: T
  readonly operations: readonly TransactionOperation[]
}

/** How an item ended; undefined: it is done. */
export type ItemError = { readonly message: string; readonly refused: boolean } | undefined

export interface ApplyOptions {
  /** The ACL rule that it takes. */
  readonly rule: string
  /** Goes in front of every batch, which fails as a whole where this one does. */
  readonly fence: TransactionOperation | undefined
  readonly signal: AbortSignal
}

/** Consul 1.14 and later take 128 operations, older ones 64 and say so. */
const mostOperations = 128
/** Requests in flight; more do not make Consul faster. */
const inFlight = 4
const timeoutMs = 30_000
/** What may be different next time: somebody removed the node, or a policy is put right. */
const passing = /missing node registration|permission denied/i

/**
 * Writes to the catalog by transactions. The size of a batch is learnt from the server. A batch that is refused is sent again
 * without what Consul names as wrong, or in halves where it names nothing, until only what is wrong is left.
 */
export class Transactions {
  readonly #http: ConsulHttp
  #limit = mostOperations

  constructor(http: ConsulHttp) {
    this.#http = http
  }

  /**
   * Applies items, several batches at a time, in no certain order.
   *
   * @param items taken as they are sent: thousands never wait in these words
   * @param settle called once per item, unless `signal` aborts before it was sent
   */
  async apply<T>(
    items: Iterable<Item<T>>,
    options: ApplyOptions,
    settle: (item: Item<T>, error: ItemError) => void,
  ): Promise<void> {
    const { fence, signal } = options
    const source = items[Symbol.iterator]()
    let next = source.next()
    const take = (): Item<T>[] => {
      const batch: Item<T>[] = []
      let size = fence === undefined ? 0 : 1
      for (; next.done !== true; next = source.next()) {
        size += next.value.operations.length
        if (batch.length > 0 && size > this.#limit) break
        batch.push(next.value)
      }
      return batch
    }
    const worker = async (): Promise<void> => {
      for (let batch = take(); batch.length > 0 && !signal.aborted; batch = take())
        await this.#send(batch, options, settle)
    }
    await Promise.all(Array.from({ length: inFlight }, worker))
  }

  async #send<T>(
    batch: readonly Item<T>[],
    options: ApplyOptions,
    settle: (item: Item<T>, error: ItemError) => void,
  ): Promise<void> {
    const { rule, fence, signal } = options
    if (batch.length === 0 || signal.aborted) return
    const before = fence === undefined ? [] : [fence]
    const operations = [...before, ...batch.flatMap((item) => item.operations)]
    const act = `write ${operations.length} operations to the catalog`
    try {
      await this.#http.transaction(operations, { act, rule, signal, timeoutMs })
      for (const item of batch) settle(item, undefined)
    } catch (error) {
      const failure = error instanceof ConsulError ? error : new ConsulError('consul_failed', String(error))
      const named = namedErrors(failure.body)
      const fenced = fence === undefined ? undefined : named.get(0)
      // Some versions word a missing permission for a single service as such an error, too.
      if (fenced !== undefined || (failure.code !== 'consul_refused' && named.size === 0)) {
        const message = fenced === undefined ? failure.message : `Cannot ${act}: Consul says "${fenced}"`
        for (const item of batch) settle(item, { message, refused: false })
        return
      }
      this.#learnLimit(failure.body)
      const explained = (item: Item<T>, error: ItemError): void => {
        settle(item, error === undefined ? undefined : explain(error, rule))
      }
      for (const rest of divide(batch, before.length, named, failure.message, explained))
        await this.#send(rest, options, settle)
    }
  }

  /** `Transaction contains too many operations (128 > 64)` */
  #learnLimit(body: string): void {
    const said = /too many operations \(\d+ > (\d+)\)/.exec(body)?.[1]
    if (said !== undefined) this.#limit = Math.max(1, Number(said))
  }
}

/** What is to be sent again of a refused batch; what is at fault is settled. `first` is the index of its first operation. */
function divide<T>(
  batch: readonly Item<T>[],
  first: number,
  named: ReadonlyMap<number, string>,
  said: string,
  settle: (item: Item<T>, error: ItemError) => void,
): (readonly Item<T>[])[] {
  if (named.size > 0) {
    const rest: Item<T>[] = []
    let from = first
    for (const item of batch) {
      const [message] = item.operations.flatMap((_, index) => named.get(from + index) ?? [])
      from += item.operations.length
      if (message === undefined) rest.push(item)
      else settle(item, { message, refused: !passing.test(message) })
    }
    return [rest]
  }
  const [only, ...others] = batch
  if (only !== undefined && others.length === 0) {
    settle(only, { message: said, refused: true })
    return []
  }
  const middle = Math.ceil(batch.length / 2)
  return [batch.slice(0, middle), batch.slice(middle)]
}

/** Says what would do where Consul only says no. */
function explain(error: NonNullable<ItemError>, rule: string): NonNullable<ItemError> {
  if (!/permission denied/i.test(error.message)) return error
  const message = `Cannot write to the catalog: Consul says "${error.message}", expected a token whose policy has ${rule}`
  return { ...error, message }
}

/** The errors that a refused transaction names, by the index of the operation. */
function namedErrors(body: string): Map<number, string> {
  try {
    const { Errors } = JSON.parse(body) as { Errors?: { OpIndex: number; What: string }[] | null }
    return new Map((Errors ?? []).map(({ OpIndex, What }) => [OpIndex, What.slice(0, 300)]))
  } catch {
    return new Map()
  }
}
