import { readdirSync, realpathSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { TemporaryFolder } from '../../../lab/files.ts'
import {
  isHelmInstalled,
  renderWithGo,
  renderWithHelm,
  type ChartValues,
  type RenderChart,
} from '../../../lab/helm.ts'
import { renderKustomization, type KubernetesObject } from '../../../lab/kubectl.ts'
import { describeWith } from '../../setup/needs.ts'
import { typeErrors, workloads } from '../../support/manifests.ts'

const deploy = fileURLToPath(new URL('../../../deploy/', import.meta.url))
const chart = `${deploy}helm/podsonar`
const kustomize = `${deploy}kubernetes/`

/** The values that stand for each overlay, and for a folder of the base by itself. */
const overlays: Readonly<Record<string, ChartValues>> = {
  base: {},
  'base/registrar': {
    proxy: { enabled: false },
    exporter: { enabled: false },
    namespaces: { create: false },
  },
  'base/proxy': {
    registrar: { enabled: false },
    exporter: { enabled: false },
    namespaces: { create: false },
  },
  'base/exporter': { registrar: { enabled: false }, proxy: { enabled: false } },
  'overlays/catalog': {},
  'overlays/agent-sidecar': { consul: { mode: 'agent-sidecar' } },
  'overlays/agent': { consul: { mode: 'agent' } },
}
/** The value that stands for each component. */
const components: Readonly<Record<string, ChartValues>> = {
  'pod-proxy': { podProxy: { enabled: true } },
  'peer-info': { peerInfo: { enabled: true } },
  capture: { capture: { enabled: true } },
  'requests-tls': { requestsTls: { enabled: true } },
  sockops: { sockops: { enabled: true } },
  microk8s: { microk8s: { enabled: true } },
}

/** What `kubectl kustomize` gives for an overlay with components and what else one writes into a kustomization. */
async function kustomized(
  resource: string,
  used: readonly string[] = [],
  more: object = {},
): Promise<KubernetesObject[]> {
  await using folder = await TemporaryFolder.create('kustomization')
  const path = (one: string): string => relative(realpathSync(folder.path), kustomize + one)
  const kustomization = {
    resources: [path(resource)],
    components: used.map((one) => path(`components/${one}`)),
    ...more,
  }
  await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
  return await renderKustomization(folder.path)
}

/** The annotation by which the chart rolls pods when a setting changes; kustomize has a hash in the ConfigMap's name for that. */
const checksum = 'checksum/settings'

/** Objects by what they are, without the two ways to roll pods. */
function comparable(objects: readonly KubernetesObject[]): Record<string, unknown> {
  const hashed = objects
    .filter(({ kind, metadata }) => kind === 'ConfigMap' && /-[a-z0-9]{10}$/.test(metadata.name))
    .map(({ metadata }) => metadata.name)
  const without = JSON.parse(JSON.stringify(objects), (key: string, value: unknown) => {
    if (key === checksum) return undefined
    return typeof value === 'string' && hashed.includes(value) ? value.slice(0, -11) : value
  }) as KubernetesObject[]
  const entries = without.map((object): [string, unknown] => {
    const { apiVersion, kind, metadata } = object
    return [`${apiVersion} ${kind} ${metadata.namespace ?? '-'}/${metadata.name}`, object]
  })
  expect(new Set(entries.map(([key]) => key)).size).toBe(entries.length)
  return Object.fromEntries(entries)
}

const renderers: Readonly<Record<string, RenderChart>> = {
  "Go's templates and sprig": renderWithGo,
  ...(isHelmInstalled() ? { helm: renderWithHelm } : {}),
}

const timeoutMs = 240_000

describeWith(['kubectl', 'go'], 'deploy/helm/podsonar', () => {
  it('knows every overlay and every component of deploy/kubernetes', () => {
    const names = (folder: string): string[] => readdirSync(kustomize + folder).sort()
    const listed = Object.keys(overlays).filter((name) => name.startsWith('overlays/'))
    expect(listed.sort()).toEqual(names('overlays').map((name) => `overlays/${name}`))
    expect(Object.keys(components).sort()).toEqual(names('components'))
  })

  describe.each(Object.entries(renderers))('rendered by %s', (_, render) => {
    const rendered = async (...values: readonly ChartValues[]): Promise<readonly KubernetesObject[]> =>
      (await render(chart, Object.assign({}, ...values) as ChartValues, 'default')).objects

    it.each(Object.keys(overlays))('has the objects of %s', { timeout: timeoutMs }, async (overlay) => {
      const objects = await rendered(overlays[overlay] ?? {})
      expect(comparable(objects)).toEqual(comparable(await kustomized(overlay)))
    })

    it.each(
      Object.keys(components).flatMap((one) =>
        ['catalog', 'agent-sidecar', 'agent'].map((overlay) => [one, overlay] as const),
      ),
    )('has the objects of %s on %s', { timeout: timeoutMs }, async (component, overlay) => {
      const objects = await rendered(overlays[`overlays/${overlay}`] ?? {}, components[component] ?? {})
      expect(comparable(objects)).toEqual(comparable(await kustomized(`overlays/${overlay}`, [component])))
    })

    it('has the objects of the kustomization of docs/install.md', { timeout: timeoutMs }, async () => {
      const [yaml = ''] = await codeBlocks('docs/install.md', 'yaml')
      const { resources, ...more } = parse(yaml) as { resources: string[] }
      const [overlay = ''] = resources.map((one) => one.replace('podsonar/deploy/kubernetes/', ''))
      const [values = ''] = await codeBlocks('deploy/helm/podsonar/README.md', 'yaml')
      const objects = await rendered(parse(values) as ChartValues)
      expect(comparable(objects)).toEqual(comparable(await kustomized(overlay, [], more)))
    })

    it('has all components at once', { timeout: timeoutMs }, async () => {
      const objects = await rendered(...Object.values(components))
      const wanted = await kustomized('overlays/catalog', Object.keys(components))
      expect(comparable(objects)).toEqual(comparable(wanted))
    })

    it('makes the namespaces, but not the one of its release', { timeout: timeoutMs }, async () => {
      const namespaces = async (values: ChartValues, release: string): Promise<string[]> =>
        (await render(chart, values, release)).objects
          .filter(({ kind }) => kind === 'Namespace')
          .map(({ metadata }) => metadata.name)
      expect(await namespaces({}, 'default')).toEqual(['podsonar', 'podsonar-exporter'])
      expect(await namespaces({}, 'podsonar')).toEqual(['podsonar-exporter'])
      expect(await namespaces({ namespaces: { create: false } }, 'default')).toEqual([])
    })

    it('hands on what a kustomization would patch, to valid objects', { timeout: timeoutMs }, async () => {
      const ofPods = {
        env: [{ name: 'LOG_LEVEL', value: 'debug' }],
        tolerations: [{ key: 'dedicated', operator: 'Exists' }],
        affinity: { nodeAffinity: {} },
        priorityClassName: 'system-node-critical',
        podAnnotations: { team: 'sre' },
        volumes: [{ name: 'web', secret: { secretName: 'web' } }],
        volumeMounts: [{ name: 'web', mountPath: '/etc/web', readOnly: true }],
        egress: [{ ports: [{ port: 9999, protocol: 'TCP' }] }],
      }
      const objects = await rendered({
        clusterName: 'prod',
        consul: { mode: 'agent-sidecar', agent: { config: { retry_join: ['10.0.0.5'] } } },
        image: {
          repository: 'r.example/podsonar',
          tag: 'x',
          pullPolicy: 'Always',
          pullSecrets: [{ name: 'r' }],
        },
        namespaces: { control: 'one', exporter: 'two' },
        capture: { enabled: true },
        registrar: { replicas: 3, settings: { PORT: 9000, SYNC_PERIOD: 1_000_000 }, ...ofPods },
        proxy: { replicas: 5, nodePort: 32_000, settings: { PORT: 9001, OPS_PORT: 9002 }, ...ofPods },
        exporter: {
          settings: { PORT: 9003, CAPTURE_MAX_SECONDS: null, CONNECTIONS_MAX_SERIES: 2_000_000 },
          maxUnavailable: 1,
          podSecurityContext: { seLinuxOptions: { type: 'spc_t' } },
          ...ofPods,
        },
      })
      expect(typeErrors(objects)).toEqual([])
      const all = workloads(objects)
      for (const [mode, port] of [
        ['registrar', 9000],
        ['proxy', 9002],
        ['exporter', 9003],
      ] as const) {
        const { pod, annotations, object } = all[`podsonar-${mode}`] ?? {}
        const ours = pod?.containers.find(({ name }) => name === mode)
        expect(ours).toMatchObject({
          image: 'r.example/podsonar:x',
          imagePullPolicy: 'Always',
          env: expect.arrayContaining(ofPods.env) as unknown,
          ports: expect.arrayContaining([{ name: 'metrics', containerPort: port }]) as unknown,
          volumeMounts: expect.arrayContaining(ofPods.volumeMounts) as unknown,
        })
        expect(pod).toMatchObject({
          imagePullSecrets: [{ name: 'r' }],
          tolerations: ofPods.tolerations,
          affinity: ofPods.affinity,
          priorityClassName: ofPods.priorityClassName,
          volumes: expect.arrayContaining(ofPods.volumes) as unknown,
        })
        expect(annotations).toMatchObject({ team: 'sre', 'prometheus.io/port': String(port) })
        expect(object?.metadata.namespace).toBe(mode === 'exporter' ? 'two' : 'one')
        const policy = objects.find(
          ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === `podsonar-${mode}`,
        )
        expect(policy?.['spec']).toMatchObject({
          ingress: expect.arrayContaining([
            { ports: expect.arrayContaining([{ port, protocol: 'TCP' }]) as unknown },
          ]) as unknown,
          egress: expect.arrayContaining(ofPods.egress) as unknown,
        })
      }
      const data = Object.fromEntries(
        objects.filter(({ kind }) => kind === 'ConfigMap').map((map) => [map.metadata.name, map['data']]),
      )
      expect(data).toMatchObject({
        'podsonar-registrar-settings': {
          ...{ CLUSTER_NAME: 'prod', NODE_PROXY_PORT: '32000', SYNC_PERIOD: '1000000', PORT: '9000' },
          CONSUL_ADDRESS: '127.0.0.1:8500',
        },
        'podsonar-consul-agent': { 'site.json': '{"retry_join":["10.0.0.5"]}' },
        'podsonar-exporter-settings': { CONNECTIONS_MAX_SERIES: '2000000' },
      })
      const without = await rendered({ networkPolicies: { enabled: false } })
      expect(without.filter(({ kind }) => kind === 'NetworkPolicy')).toEqual([])
    })

    it(
      'rolls the pods of a mode when one of its settings changes, and no others',
      { timeout: timeoutMs },
      async () => {
        const sums = async (values: ChartValues): Promise<Record<string, string | undefined>> =>
          Object.fromEntries(
            Object.entries(workloads(await rendered(values))).map(([name, { annotations }]) => [
              name,
              annotations[checksum],
            ]),
          )
        const before = await sums({})
        expect(Object.values(before)).not.toContain(undefined)
        for (const mode of ['registrar', 'proxy', 'exporter']) {
          const after = await sums({ [mode]: { settings: { LOG_LEVEL: 'debug' } } })
          const changed = Object.keys(after).filter((name) => after[name] !== before[name])
          expect(changed).toEqual([`podsonar-${mode}`])
        }
        const agent = { consul: { mode: 'agent-sidecar', agent: { config: { datacenter: 'dc2' } } } }
        const [one, two] = [await sums({ consul: { mode: 'agent-sidecar' } }), await sums(agent)]
        expect(two['podsonar-registrar']).not.toBe(one['podsonar-registrar'])
      },
    )

    it.each<[string, ChartValues, RegExp]>([
      ['a misspelt value', { clustername: 'prod' }, /clustername/],
      ['a misspelt setting', { registrar: { settings: { SYNC_PERIODE: 60 } } }, /SYNC_PERIODE/],
      ["another mode's setting", { proxy: { settings: { SYNC_PERIOD: 60 } } }, /SYNC_PERIOD/],
      [
        'a secret among the settings',
        { registrar: { settings: { CONSUL_HTTP_TOKEN: 'x' } } },
        /CONSUL_HTTP_TOKEN/,
      ],
      [
        'a setting that another value stands for',
        { registrar: { settings: { CLUSTER_NAME: 'x' } } },
        /CLUSTER_NAME/,
      ],
      ['an unknown way into Consul', { consul: { mode: 'server' } }, /mode/],
      ["Consul's address beside an agent", { consul: { mode: 'agent', address: 'consul:8500' } }, /address/],
      ['a text for a number', { registrar: { replicas: 'two' } }, /replicas/],
      ['no replica', { proxy: { replicas: 0 } }, /replicas/],
      ['a port that does not exist', { proxy: { nodePort: 70_000 } }, /nodePort/],
    ])('refuses %s', { timeout: timeoutMs }, async (_title, values, named) => {
      await expect(rendered(values)).rejects.toThrow(named)
    })
  })

  it('says in its notes what is not given', { timeout: timeoutMs }, async () => {
    const { notes } = await renderWithGo(chart, {}, 'default')
    expect(notes).toMatch(/clusterName is not set/)
    expect(notes).toMatch(/consul.address is not set/)
    const given = { clusterName: 'prod', consul: { address: 'consul:8500' } }
    expect((await renderWithGo(chart, given, 'default')).notes).not.toMatch(/not set/)
  })
})

async function codeBlocks(path: string, language: string): Promise<string[]> {
  const text = await readFile(new URL(`../../../${path}`, import.meta.url), 'utf8')
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(
    ([, block = '']) => block,
  )
}
