/** A cluster that the demo shows and changes. */
export interface DemoCluster extends AsyncDisposable {
  /** The value of CLUSTER_NAME. */
  readonly name: string
  /** For people: what kind of cluster this is. */
  readonly description: string
  /** The path of a kubeconfig for it. */
  readonly kubeconfig: string
  /** Further settings by mode, such as the kubelets' CA. */
  readonly settings: {
    readonly registrar: Readonly<Record<string, string>>
    readonly proxy: Readonly<Record<string, string>>
  }
  /** What Prometheus has to see now: subjects as the table shows them. */
  readonly expected: () => readonly string[]
  /** A pod comes, moves, goes: one step further each time. */
  change(): Promise<ClusterChange>
}

/** A change, and how it must show. */
export interface ClusterChange {
  readonly kind: 'comes' | 'moves' | 'goes'
  /** `namespace/pod` */
  readonly subject: string
  /** Where it is to be scraped afterwards, `ip:port`; undefined when it went. */
  readonly address: string | undefined
}

/** The change in a sentence. */
export function describeChange({ kind, subject, address }: ClusterChange): string {
  if (address === undefined) return `${subject} goes`
  return kind === 'comes' ? `${subject} comes, at ${address}` : `${subject} is re-created at ${address}`
}
