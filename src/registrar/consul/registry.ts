/** What the registrar needs of Consul; the agent, the catalog and the embedded directory each provide it. */
import type { ActualService, ServiceRecord } from '../core/service.ts'

export type BackendKind = 'agent' | 'catalog' | 'embedded'

/** One change to one service. `update` overwrites what is there under the same ID. */
export type Operation =
  | { readonly type: 'register'; readonly service: ServiceRecord }
  | { readonly type: 'update'; readonly service: ServiceRecord; readonly previous: ServiceRecord | undefined }
  | { readonly type: 'deregister'; readonly service: Pick<ServiceRecord, 'id' | 'name'> }

/** How an operation ended. */
export type OperationResult =
  | { readonly operation: Operation; readonly ok: true }
  | {
      readonly operation: Operation
      readonly ok: false
      /** One line, without secrets. */
      readonly error: string
      /** Consul understood it and says no: trying again unchanged is useless. Otherwise it was not reached or failed. */
      readonly refused: boolean
    }

/** The heartbeat of a registrar, as its service's meta tells. */
export interface Heartbeat {
  readonly clusterName: string
  /** Tells one Kubernetes cluster from another, whatever they are called; the same for all replicas and restarts. */
  readonly clusterId: string
  /** Milliseconds since the epoch, by the clock of the registrar that wrote it. */
  readonly lastSyncMs: number
}

/** How often a heartbeat is written at most, in milliseconds. */
export const heartbeatMs = 60_000
/** A registrar that was silent for so long counts as gone. */
export const goneAfterMs: number = 3 * heartbeatMs

/** A place where services are registered. Every call has a time-out of its own and ends early when `signal` aborts. */
export interface Registry extends AsyncDisposable {
  readonly kind: BackendKind

  /**
   * Reads, once and whole, the services with an ID of ours (`pod--`, `node--`) that this registry could write: those of
   * other clusters included, so that conflicts show. `each` is called while the answer arrives.
   *
   * @throws PodsonarError `consul_unreachable`, `consul_forbidden` (names the missing rule), `consul_failed` or
   *   `consul_bad_answer`; then what `each` got is a part only and nothing may be concluded from what is absent
   */
  read(each: (service: ActualService) => void, signal: AbortSignal): Promise<void>

  /**
   * Applies operations in order of their list as far as order matters: all of one call may run at the same time. Never
   * throws for what happens to a single operation. Registrations and removals go in separate calls.
   *
   * @param onResult called once per operation, when its fate is known
   */
  apply(
    operations: readonly Operation[],
    onResult: (result: OperationResult) => void,
    signal: AbortSignal,
  ): Promise<void>

  /** Calls `lost` when the services may be gone (agent restarted or replaced, node missing) and must be read again. */
  watchLoss(lost: (reason: string) => void): Disposable

  /** Writes our heartbeat; undefined: takes it away. */
  beat(heartbeat: Heartbeat | undefined, signal: AbortSignal): Promise<void>

  /** The heartbeat that stands there for `clusterName`, ours or another's. */
  readHeartbeat(clusterName: string, signal: AbortSignal): Promise<Heartbeat | undefined>
}
