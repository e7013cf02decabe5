/** What `npm run docs` writes into deploy/helm/podsonar: all of the chart but its templates. */
import { Document, isMap, isScalar, type YAMLMap } from 'yaml'
import { version } from '../../src/common/version.ts'
import { defaultOf, values, type ValueSchema } from './values.ts'

const written =
  'Written by `npm run docs` from scripts/helm/values.ts and deploy/kubernetes: change it there.'

function chartYaml(): string {
  const chart = new Document({
    apiVersion: 'v2',
    name: 'podsonar',
    description: 'Makes what runs in a cluster visible to a Prometheus outside it, through Consul',
    type: 'application',
    version,
    appVersion: version,
    kubeVersion: '>=1.21.0-0',
  })
  chart.commentBefore = ` ${written}`
  return chart.toString()
}

function valuesYaml(): string {
  const document = new Document(defaultOf(values))
  comment(document.contents as YAMLMap, values)
  document.commentBefore = ` ${written}`
  return document.toString({ lineWidth: 0 })
}

/** Puts the description of each value above it. */
function comment(map: YAMLMap, { properties = {} }: ValueSchema): void {
  for (const { key, value } of map.items) {
    const described = properties[isScalar(key) ? String(key.value) : '']
    if (described?.description === undefined || !isScalar(key)) continue
    key.commentBefore = wrapped(described.description)
    if (isMap(value) && described.default === undefined) comment(value, described)
  }
}

/** Lines of at most 110 characters, as the comment of a YAML document. */
function wrapped(text: string): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length > 108) lines.push(` ${word}`)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.join('\n')
}

function schemaJson(): string {
  return JSON.stringify({
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'podsonar',
    ...values,
  })
}

function rows(value: ValueSchema, path: readonly string[] = []): string[] {
  if (value.properties !== undefined && value.default === undefined)
    return Object.entries(value.properties).flatMap(([key, one]) => rows(one, [...path, key]))
  const stands = JSON.stringify(value.default)
  const accepts = value.enum?.filter((one) => one !== '').join(', ') ?? [value.type].flat().join(' or ')
  const cells = [`\`${path.join('.')}\``, value.description ?? '', accepts, `\`${stands}\``]
  return [`| ${cells.join(' | ')} |`]
}

function readme(): string {
  return `# Helm chart of podsonar

<!-- ${written} -->

The same objects as [deploy/kubernetes](../../kubernetes), which is the source of truth: the tests hold the two equal for every
overlay and component.

\`\`\`
helm install podsonar deploy/helm/podsonar -f values.yaml
\`\`\`

\`\`\`yaml
# values.yaml
clusterName: prod-eu-1 # no other cluster in this Consul may have it
consul:
  address: consul.example.com:8500
image:
  repository: registry.example.com/podsonar
proxy:
  settings:
    KUBELET_INSECURE_TLS: true # only where kubelets sign their certificates themselves
\`\`\`

[docs/install.md](../../../docs/install.md) says how to build the image, what to do where your cluster differs, and how to go on
once the pods run. Objects have fixed names: one release in a cluster.

**Namespaces.** Registrar and proxy live in \`podsonar\`, at the level "restricted" of pod security; the exporter needs
"privileged" and has a namespace of its own. The chart makes both, so release it from another one (above: the one that you
are in), since helm keeps its release in a namespace that must exist already. With
\`-n podsonar --create-namespace\` the first is helm's; then label it yourself:
\`kubectl label namespace podsonar pod-security.kubernetes.io/enforce=restricted\`.

**Overlays and components of deploy/kubernetes, as values.**

| kustomize                                  | values                                                        |
| ------------------------------------------ | ------------------------------------------------------------- |
| \`base\`, \`overlays/catalog\`             | the defaults                                                  |
| \`overlays/agent-sidecar\`                 | \`consul.mode: agent-sidecar\`                                |
| \`overlays/agent\`                         | \`consul.mode: agent\`                                        |
| \`base/registrar\`, \`/proxy\`, \`/exporter\` | \`enabled: false\` for the other two                       |
| \`components/pod-proxy\`                   | \`podProxy.enabled: true\`                                    |
| \`components/peer-info\`                   | \`peerInfo.enabled: true\`                                    |
| \`components/capture\`                     | \`capture.enabled: true\`                                     |
| \`components/requests-tls\` | \`requestsTls.enabled: true\` |
| \`components/sockops\`                     | \`sockops.enabled: true\`                                     |
| \`components/microk8s\`                    | \`microk8s.enabled: true\`                                    |

**Secrets** are never values: \`kubectl -n podsonar create secret generic podsonar-consul --from-file=token\` for Consul's
token, \`podsonar-consul-agent --from-file=secret.json\` for what is secret in the agent's configuration.

## Values

values.schema.json refuses what is not here, a misspelt setting included.

| value | meaning | accepts | default |
| --- | --- | --- | --- |
${rows(values).join('\n')}
`
}

/** The generated files, by their paths in the project. */
export function chartFiles(): Record<string, string> {
  const folder = 'deploy/helm/podsonar'
  return {
    [`${folder}/Chart.yaml`]: chartYaml(),
    [`${folder}/values.yaml`]: valuesYaml(),
    [`${folder}/values.schema.json`]: schemaJson(),
    [`${folder}/README.md`]: readme(),
  }
}
