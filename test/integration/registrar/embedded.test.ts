import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { freePorts } from '../../../lab/ports.ts'
import { Program } from '../../../lab/program.ts'
import { Prometheus, type Target } from '../../../lab/prometheus.ts'
import { VictoriaMetrics } from '../../../lab/victoria-metrics.ts'
import { waitFor } from '../../../lab/wait.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import { EmbeddedCatalog } from '../../../src/registrar/consul/embedded.ts'
import { targetGroup } from '../../../src/registrar/core/consul-labels.ts'
import { directoryNode } from '../../../src/registrar/core/directory-node.ts'
import type { ServiceRecord } from '../../../src/registrar/core/service.ts'
import { describeWith } from '../../setup/needs.ts'
import { marked, registrarSettings, untilReady } from '../../support/registrar.ts'

const node = directoryNode('c1')
const service = (id: string, name: string, more: Partial<ServiceRecord> = {}): ServiceRecord => ({
  ...{ id, name, address: '10.0.0.1', port: 8080, tags: ['podsonar'] },
  meta: { cluster_name: 'c1', metrics_path: '/metrics', 'odd-key': 'ü "quoted"' },
  ...more,
})
// Each has an address of its own: targets with equal ones count as one.
const services = [
  service('pod--default--web-0', 'k8s-pods'),
  service('pod--default--web-1', 'k8s-pods', { address: 'fd00::1', tags: ['podsonar', 'canary'] }),
  service('pod--default--web-2', 'k8s-pods', { port: 1, tags: [], meta: {} }),
  service('node--10.0.0.9', 'k8s-nodes', { address: 'lb.example' }),
  service('pod--x--alone', 'pod--x--alone', { port: 2, tags: ['podsonar', 'pod--x--alone'] }),
]

/** What users write, apart from the server. */
const variants: Readonly<Record<string, object>> = {
  'two names': { services: ['k8s-pods', 'k8s-nodes'] },
  'a tag': { tags: ['podsonar'] },
  'two tags of a name': { services: ['k8s-pods'], tags: ['podsonar', 'canary'] },
  'a name that is not there': { services: ['none'] },
  'node metadata': { node_meta: { cluster_name: 'c1' } },
  'other node metadata': { node_meta: { cluster_name: 'c2' } },
  'a separator and stale reads': { services: ['k8s-pods'], tag_separator: ';', allow_stale: false },
}

/** A job per variant and server, `<server> <variant>`. */
function config(servers: Readonly<Record<string, string>>, more: object): string {
  const jobs = Object.entries(servers).flatMap(([server, url]) =>
    Object.entries(variants).map(([variant, options]) => ({
      job_name: `${server} ${variant}`,
      consul_sd_configs: [{ server: new URL(url).host, ...options, ...more }],
    })),
  )
  return stringify({ scrape_configs: jobs })
}

/** What a job discovered, by service ID, with all labels but the name of the job. */
function discovered(targets: readonly Target[], job: string): Record<string, Record<string, string>> {
  const found = targets.filter(({ discoveredLabels }) => discoveredLabels['job'] === job)
  return Object.fromEntries(
    found.map(({ discoveredLabels: { job: _, ...labels } }) => [
      labels['__meta_consul_service_id'] ?? '',
      labels,
    ]),
  )
}

describeWith(
  ['consul', 'prometheus', 'victoria-metrics'],
  'the embedded catalog beside a real Consul',
  () => {
    const owned = new AsyncDisposableStack()
    let consul: Consul
    let embedded: EmbeddedCatalog
    let embeddedUrl: string

    beforeAll(async () => {
      consul = owned.use(await Consul.start())
      for (const { id, name, address, port, tags, meta } of services) {
        await consul.put('/v1/catalog/register', {
          ...{ Node: node.name, Address: node.address, NodeMeta: node.meta },
          Service: { ID: id, Service: name, Address: address, Port: port, Tags: tags, Meta: meta },
        })
      }
      const [port = 0] = await freePorts(1)
      embeddedUrl = `http://127.0.0.1:${port}`
      const self = { address: node.address, port: 8081 }
      embedded = owned.use(
        await EmbeddedCatalog.start({ node, self, port, address: '127.0.0.1', log: silentLogger }),
      )
      await embedded.apply(
        services.map((one) => ({ type: 'register', service: one })),
        () => undefined,
      )
      embedded.completed()
    })
    afterAll(() => owned.disposeAsync())

    const both = () => ({ consul: consul.url, embedded: embeddedUrl })
    const compare = async (read: () => Promise<Target[]>) => {
      const sizes = await waitFor('equal discoveries', async () => {
        const targets = await read()
        const result = Object.keys(variants).map((variant) => {
          const real = discovered(targets, `consul ${variant}`)
          expect(discovered(targets, `embedded ${variant}`)).toEqual(real)
          return Object.keys(real).length
        })
        expect(result).toEqual([4, 4, 1, 0, 5, 0, 3])
        return result
      })
      expect(sizes.length).toBe(Object.keys(variants).length)
    }

    it('shows Prometheus the same targets with the same labels', async () => {
      await using prometheus = await Prometheus.start(config(both(), { refresh_interval: '1s' }))
      await compare(() => prometheus.targets())
    })

    it('shows VictoriaMetrics the same targets with the same labels', async () => {
      await using victoria = await VictoriaMetrics.start(config(both(), {}))
      await compare(() => victoria.targets())
    })

    it('has for http_sd the labels that Prometheus makes of a real Consul', async () => {
      await using prometheus = await Prometheus.start(
        config({ consul: consul.url }, { refresh_interval: '1s' }),
      )
      const real = await waitFor('the targets', async () => {
        const found = discovered(await prometheus.targets(), 'consul two names')
        return Object.keys(found).length === 4 && found
      })
      for (const one of services.filter(({ name }) => name in { 'k8s-pods': 1, 'k8s-nodes': 1 })) {
        const { targets, labels } = targetGroup(one, node)
        expect({ ...labels, __address__: targets[0] }).toEqual(
          expect.objectContaining(
            Object.fromEntries(
              Object.entries(real[one.id] ?? {}).filter(
                ([name]) => name.startsWith('__meta_') || name === '__address__',
              ),
            ),
          ),
        )
        expect(Object.keys(labels).every((name) => name in (real[one.id] ?? {}))).toBe(true)
      }
    })

    it('answers field by field as Consul does', async () => {
      for (const path of ['/v1/health/service/k8s-pods', '/v1/catalog/service/k8s-pods']) {
        const [real] = await consul.get<object[]>(path)
        const [ours] = (await (await fetch(embeddedUrl + path)).json()) as object[]
        expect(keys(ours)).toEqual(keys(real))
      }
      const names = async (url: string) =>
        Object.entries((await (await fetch(`${url}/v1/catalog/services`)).json()) as Record<string, string[]>)
          .map(([name, tags]) => `${name}: ${tags.sort().join()}`)
          .filter((line) => line !== 'consul: ')
          .sort()
      expect(await names(embeddedUrl)).toEqual(await names(consul.url))
    })

    it('sends the headers of a recorded answer', async () => {
      const url = new URL('../../fixtures/consul/1.8.7-catalog-services.txt', import.meta.url)
      const [head = ''] = (await readFile(url, 'utf8')).split(/\r?\n\r?\n/)
      const names = [...head.matchAll(/^(X-Consul-[\w-]+):/gm)].map(([, name = '']) => name)
      const answer = await fetch(`${embeddedUrl}/v1/catalog/services`)
      expect(names.filter((name) => !answer.headers.has(name))).toEqual([])
      expect(names.length).toBe(4)
    })

    it('holds a blocking query until the service changes, and ends it in time', async () => {
      const url = `${embeddedUrl}/v1/health/service/k8s-nodes`
      const index = async () => (await fetch(url)).headers.get('x-consul-index') ?? ''
      const before = await index()
      const timedOut = await fetch(`${url}?index=${before}&wait=100ms`)
      expect(timedOut.headers.get('x-consul-index')).toBe(before)
      const waiting = fetch(`${url}?index=${before}&wait=50s`)
      const changed = service('node--10.0.0.9', 'k8s-nodes', { address: 'lb.example', port: 2 })
      await embedded.apply([{ type: 'update', service: changed, previous: undefined }], () => undefined)
      const body = (await (await waiting).json()) as { Service: { Port: number } }[]
      expect(body[0]?.Service.Port).toBe(2)
      const [original] = services.filter(({ id }) => id === changed.id)
      await embedded.apply([{ type: 'register', service: original! }], () => undefined)
    })

    it.each([
      ['/v1/health/service/k8s-pods?index=abc', 400],
      ['/v1/health/service/k8s-pods?wait=soon', 400],
      ['/v1/health/service/k8s-pods?filter=Service.Port==1', 400],
      ['/v1/health/service/k8s-pods?dc=elsewhere', 500],
      ['/v1/kv/secret', 404],
      ['/v1/health/service/%zz', 404],
    ])('refuses %s with %i', async (path, status) => {
      expect((await fetch(embeddedUrl + path)).status).toBe(status)
    })
  },
)

/** All paths of keys in a value, lists by their first entry; metadata and tagged addresses as one. */
function keys(value: unknown, path = ''): string[] {
  if (/(Meta|TaggedAddresses)$/.test(path) || typeof value !== 'object' || value === null) return [path]
  if (Array.isArray(value)) return [path]
  return Object.entries(value)
    .flatMap(([key, inner]) => keys(inner, `${path}.${key}`))
    .sort()
}

describeWith(['prometheus', 'victoria-metrics'], 'a registrar without Consul', () => {
  it('leads Prometheus to the targets, follows changes, and loses none over a restart', async () => {
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    kubernetes.addPod({ name: 'web-0', ip: '10.0.0.1', annotations: marked({ port: '9090' }) })
    const [port = 0, ops = 0] = await freePorts(2)
    const settings = await registrarSettings({ url: 'embedded' }, kubernetes, {
      ...{ CONSUL_LISTEN: String(port), PORT: String(ops), LISTEN_ADDRESS: '127.0.0.1' },
      ...{ POD_SERVICE_NAME: 'k8s-pods', NODE_SERVICE_NAME: 'k8s-nodes' },
    })
    const names = ['k8s-pods', 'k8s-nodes']
    const consulSd = { server: `127.0.0.1:${port}`, services: names, refresh_interval: '1s' }
    const job = { job_name: 'all', consul_sd_configs: [consulSd] }
    await using prometheus = await Prometheus.start(stringify({ scrape_configs: [job] }))
    const httpSd = { job_name: 'http', http_sd_configs: [{ url: `http://127.0.0.1:${ops}/sd/http` }] }
    await using victoria = await VictoriaMetrics.start(stringify({ scrape_configs: [httpSd] }))
    const addresses = (targets: readonly Target[]) =>
      targets.map(({ discoveredLabels }) => discoveredLabels['__address__']).sort()
    const found = async (...expected: string[]) => {
      await waitFor(`Prometheus to find ${expected.join()}`, async () => {
        expect(addresses(await prometheus.targets())).toEqual(expected)
        return true
      })
    }
    {
      await using program = await Program.start(['registrar'], settings)
      await untilReady(program)
      await found('10.0.0.1:9090', '192.168.0.1:31112')
      kubernetes.addPod({ name: 'web-1', ip: '10.0.0.2', annotations: marked({ port: '9090' }) })
      kubernetes.deletePod('default', 'web-0')
      await found('10.0.0.2:9090', '192.168.0.1:31112')
      // Without Consul's server there is no service `consul` and nothing else either.
      const all = await (await fetch(`http://127.0.0.1:${port}/v1/catalog/services`)).json()
      expect(Object.keys(all as object).sort()).toEqual(['k8s-nodes', 'k8s-pods', 'podsonar-registrar'])

      const groups = await (await fetch(`http://127.0.0.1:${ops}/sd/http`)).json()
      const viaHttp = (groups as { targets: string[]; labels: object }[]).map(({ targets, labels }) => ({
        __address__: targets[0],
        ...labels,
      }))
      const viaConsul = (await prometheus.targets()).map(({ discoveredLabels }) =>
        Object.fromEntries(
          Object.entries(discoveredLabels).filter(([name]) => /^__(meta|address)_/.test(name)),
        ),
      )
      expect(viaHttp).toEqual(expect.arrayContaining(viaConsul))
      expect(viaHttp.length).toBe(viaConsul.length)
      await waitFor('VictoriaMetrics to find them by http_sd', async () => {
        expect(addresses(await victoria.targets())).toEqual(['10.0.0.2:9090', '192.168.0.1:31112'])
        return true
      })
    }
    // Started again while the API server is away: it does not know the targets, and does not say that there are none.
    await kubernetes.leave()
    await using program = await Program.start(['registrar'], settings)
    await program.logged('listening', (record) => record['setting'] === 'CONSUL_LISTEN')
    const unsure = await fetch(`http://127.0.0.1:${port}/v1/health/service/k8s-pods`)
    expect([unsure.status, await unsure.text()]).toEqual([500, 'No cluster leader'])
    expect((await fetch(`http://127.0.0.1:${ops}/sd/http`)).status).toBe(503)
    await found('10.0.0.2:9090', '192.168.0.1:31112')
    await kubernetes.arrive()
    await untilReady(program)
    expect((await fetch(`http://127.0.0.1:${port}/v1/health/service/k8s-pods`)).status).toBe(200)
    await found('10.0.0.2:9090', '192.168.0.1:31112')
  })
})

describe('the embedded catalog', () => {
  it('is read and written like any other backend', async () => {
    const self = { address: '192.0.2.7', port: 8081 }
    await using catalog = await EmbeddedCatalog.start({
      ...{ node, self, port: 0, address: '127.0.0.1', log: silentLogger },
    })
    const heartbeat = { clusterName: 'c1', clusterId: 'abc', lastSyncMs: 1_700_000_000_000 }
    expect(await catalog.readHeartbeat('c1')).toBeUndefined()
    await catalog.beat(heartbeat)
    expect(await catalog.readHeartbeat('c1')).toEqual(heartbeat)
    const results: boolean[] = []
    const [first, second] = services
    await catalog.apply(
      [first!, second!].map((one) => ({ type: 'register', service: one })),
      ({ ok }) => results.push(ok),
    )
    await catalog.apply([{ type: 'deregister', service: first! }], ({ ok }) => results.push(ok))
    const read: unknown[] = []
    await catalog.read((one) => read.push(one))
    expect(read).toEqual([{ ...second, node: 'k8s-c1' }])
    expect(results).toEqual([true, true, true])
    await catalog.beat(undefined)
    expect(await catalog.readHeartbeat('c1')).toBeUndefined()
  })
})
