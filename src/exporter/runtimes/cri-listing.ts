/** What a CRI runtime lists, decoded only where it is new: a scrape of 300 containers would spend half its time on it. */
import { TimeSlice } from '../../common/time-slice.ts'
import type { ListedContainer, ListedSandbox, Listing, Pod } from '../core/containers.ts'
import { splitList, type ListEntry } from '../core/split-list.ts'

/** A pod's sandbox in the answer of ListPodSandbox. */
export interface CriSandbox {
  readonly id: string
  readonly metadata: { readonly name: string; readonly uid: string; readonly namespace: string } | null
  readonly state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY'
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** A container in the answer of ListContainers. */
export interface CriContainer {
  readonly id: string
  readonly podSandboxId: string
  readonly metadata: { readonly name: string } | null
  readonly image: { readonly image: string } | null
  readonly imageRef: string
  readonly labels: Readonly<Record<string, string>>
}

interface KnownSandbox extends ListedSandbox {
  readonly ready: boolean
  /** Its bytes, a part of the answer that came last: of none before, which would stay in memory for them. */
  readonly message: Uint8Array
}

/** Decoders of whole answers. */
export interface CriDecoders {
  readonly containers: (bytes: Uint8Array) => readonly CriContainer[]
  readonly sandboxes: (bytes: Uint8Array) => readonly CriSandbox[]
}

/** Pods of which no container ever ran are found this often, in milliseconds; all others at once. */
const sandboxesEveryMs = 30_000

/**
 * Remembers containers and sandboxes by their ids: names, labels, annotations and image are given when they are created
 * and never change. Sandboxes are asked for when containers came or went, so that a steady scrape makes one call.
 */
export class CriListing {
  readonly #decode: CriDecoders
  #containers = new Map<string, ListedContainer>()
  #sandboxes = new Map<string, KnownSandbox>()
  #ready: readonly ListedSandbox[] = []
  #sandboxesAt = -Infinity

  constructor(decode: CriDecoders) {
    this.#decode = decode
  }

  /**
   * @param containers answer of ListContainers: those that run
   * @param askForSandboxes gives the answer of ListPodSandbox
   * @throws PodsonarError `malformed_answer`; and what `askForSandboxes` throws
   */
  async update(containers: Uint8Array, askForSandboxes: () => Promise<Uint8Array>): Promise<Listing> {
    const entries = splitList(containers)
    const same =
      entries.length === this.#containers.size && entries.every(({ id }) => this.#containers.has(id))
    if (!same || performance.now() - this.#sandboxesAt > sandboxesEveryMs)
      await this.#takeSandboxes(await askForSandboxes())
    const next = new Map<string, ListedContainer>()
    const slice = new TimeSlice()
    for (const entry of entries) {
      if (slice.over) await slice.next()
      const container = this.#containers.get(entry.id) ?? this.#container(entry)
      if (container !== undefined) next.set(entry.id, container)
    }
    this.#containers = next
    return { containers: [...next.values()], sandboxes: this.#ready }
  }

  /** Sandboxes change their state, so one whose bytes are as before is as before. */
  async #takeSandboxes(bytes: Uint8Array): Promise<void> {
    const next = new Map<string, KnownSandbox>()
    const slice = new TimeSlice()
    for (const { id, message } of splitList(bytes)) {
      if (slice.over) await slice.next()
      const known = this.#sandboxes.get(id)
      const same = known !== undefined && Buffer.compare(known.message, message) === 0
      const sandbox = same ? { ...known, message } : this.#sandbox(message, known?.pod)
      if (sandbox !== undefined) next.set(id, sandbox)
    }
    this.#sandboxes = next
    this.#ready = [...next.values()].filter(({ ready }) => ready)
    this.#sandboxesAt = performance.now()
  }

  #sandbox(message: Uint8Array, pod: Pod | undefined): KnownSandbox | undefined {
    const [sandbox] = this.#decode.sandboxes(message)
    if (sandbox === undefined) return undefined
    const { id, state } = sandbox
    return { id, pod: pod ?? podOf(sandbox), ready: state === 'SANDBOX_READY', message }
  }

  #container({ message }: ListEntry): ListedContainer | undefined {
    const [container] = this.#decode.containers(message)
    if (container === undefined) return undefined
    const { id, podSandboxId, metadata, image, imageRef, labels } = container
    return {
      id,
      name: metadata?.name ?? labels['io.kubernetes.container.name'] ?? '',
      image: image?.image || imageRef,
      // A sandbox that went between the two calls: the container's own labels say the rest.
      pod: this.#sandboxes.get(podSandboxId)?.pod ?? podOf({ labels, metadata: null, annotations: {} }),
    }
  }
}

/** Labels that the kubelet puts on every sandbox and container, beside the user's. */
const kubeletLabels = 'io.kubernetes.'

function podOf({ metadata, labels, annotations }: Omit<CriSandbox, 'id' | 'state'>): Pod {
  return {
    name: metadata?.name ?? labels['io.kubernetes.pod.name'] ?? '',
    namespace: metadata?.namespace ?? labels['io.kubernetes.pod.namespace'] ?? '',
    uid: metadata?.uid ?? labels['io.kubernetes.pod.uid'] ?? '',
    labels: Object.fromEntries(Object.entries(labels).filter(([name]) => !name.startsWith(kubeletLabels))),
    annotations,
  }
}
