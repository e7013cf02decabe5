/** What the tests of deploy/kubernetes read out of rendered objects. */
import ts from 'typescript'
import type { KubernetesObject } from '../../lab/kubectl.ts'

interface Container {
  readonly name: string
  readonly image: string
  readonly args?: readonly string[]
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly volumeMounts?: readonly {
    readonly name: string
    readonly mountPath: string
    readonly readOnly?: boolean
  }[]
  readonly securityContext?: {
    readonly privileged?: boolean
    readonly allowPrivilegeEscalation?: boolean
    readonly readOnlyRootFilesystem?: boolean
    readonly runAsUser?: number
    readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] }
  }
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly startupProbe?: Probe
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string>>
    readonly limits?: Readonly<Record<string, string>>
  }
}

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string | number }
}

export interface PodSpec {
  readonly containers: readonly Container[]
  readonly enableServiceLinks?: boolean
  readonly automountServiceAccountToken?: boolean
  readonly hostPID?: boolean
  readonly hostIPC?: boolean
  readonly hostNetwork?: boolean
  readonly serviceAccountName?: string
  readonly securityContext?: {
    readonly runAsNonRoot?: boolean
    readonly runAsUser?: number
    readonly seccompProfile?: { readonly type: string }
  }
  readonly volumes?: readonly ({ readonly name: string } & Readonly<Record<string, unknown>>)[]
  readonly topologySpreadConstraints?: readonly unknown[]
}

export interface Workload {
  readonly object: KubernetesObject
  readonly annotations: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly pod: PodSpec
}

/** The Deployments and DaemonSets among `objects`, by name. */
export function workloads(objects: readonly KubernetesObject[]): Record<string, Workload> {
  return Object.fromEntries(
    objects
      .filter(({ kind }) => ['Deployment', 'DaemonSet'].includes(kind))
      .map((object) => {
        const { template } = object['spec'] as {
          template: { metadata: KubernetesObject['metadata']; spec: PodSpec }
        }
        const { annotations = {}, labels = {} } = template.metadata
        return [object.metadata.name, { object, annotations, labels, pod: template.spec }]
      }),
  )
}

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[]
}

/** `list pods`, `get nodes/metrics` …: what the roles called `name` allow, sorted, each once. */
export function allowed(objects: readonly KubernetesObject[], name: string): string[] {
  const rules = objects
    .filter(({ kind, metadata }) => ['Role', 'ClusterRole'].includes(kind) && metadata.name === name)
    .flatMap((object) => object['rules'] as readonly Rule[])
  return [
    ...new Set(
      rules.flatMap(({ resources, verbs }) =>
        resources.flatMap((on) => verbs.map((verb) => `${verb} ${on}`)),
      ),
    ),
  ].sort()
}

/**
 * What TypeScript says of objects written down as values of the types of kubernetes-models: wrong types, missing fields,
 * and, what its schemas let pass, fields that Kubernetes does not know.
 */
export function typeErrors(objects: readonly KubernetesObject[]): string[] {
  const name = new URL('manifests.generated.ts', import.meta.url).pathname
  const text = objects
    .map(({ apiVersion, kind, ...rest }, index) => {
      const value = JSON.stringify({ apiVersion, kind, ...rest }, undefined, 2)
      return `import type { I${kind} as T${index} } from 'kubernetes-models/${apiVersion}/${kind}'\nexport const o${index}: T${index} = ${value}\n`
    })
    .join('')
  const options: ts.CompilerOptions = {
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
  }
  const host = ts.createCompilerHost(options)
  const read = host.getSourceFile.bind(host)
  host.getSourceFile = (file, version, ...rest) =>
    file === name ? ts.createSourceFile(file, text, version) : read(file, version, ...rest)
  const program = ts.createProgram([name], options, host)
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}
