import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { Consul } from '../../../lab/consul.ts'
import { Prometheus, type Target } from '../../../lab/prometheus.ts'
import { VictoriaMetrics } from '../../../lab/victoria-metrics.ts'
import { waitFor } from '../../../lab/wait.ts'
import type { NodeRecord, PodRecord } from '../../../src/kubernetes/records.ts'
import { DesiredServices } from '../../../src/registrar/core/desired.ts'
import type { ServiceRecord } from '../../../src/registrar/core/service.ts'
import { shardChooser } from '../../../src/registrar/core/shard.ts'
import { describeWith } from '../../setup/needs.ts'
import { node, pod } from '../../support/records.ts'

const shipped = readFileSync(new URL('../../../deploy/prometheus/prometheus.yml', import.meta.url), 'utf8')

interface Job {
  job_name: string
  consul_sd_configs: { server: string; services: string[]; refresh_interval?: string }[]
  relabel_configs: unknown[]
}
interface Config {
  global: Record<string, string>
  scrape_configs: Job[]
}

/** What the comments say to add for (a) or (b), as written there. */
function advised(letter: string): unknown[] {
  const lines = shipped.split('\n')
  const start = lines.findIndex((line) => line.startsWith(`#   ${letter})`)) + 1
  const length = lines.slice(start).findIndex((line) => !line.startsWith('#        '))
  const snippet = lines.slice(start, start + length).map((line) => line.slice(1))
  return parse(snippet.join('\n')) as unknown[]
}

/** The service names that the comments give for (c), for a shard. */
function advisedNames(shard: string): { settings: Record<string, string>; services: string[] } {
  const text = shipped.slice(shipped.indexOf('#   c)'), shipped.indexOf('global:'))
  const settings = Object.fromEntries(
    [...text.matchAll(/([A-Z_]+)=(\S+?)[,\s]/g)].map(([, name = '', value = '']) => [name, value]),
  )
  const services = [...text.matchAll(/services: \[(\S+)\]/g)].map(([, name = '']) =>
    name.replace('shard-1', shard),
  )
  return { settings, services }
}

describeWith(['consul', 'prometheus', 'victoria-metrics'], 'the Prometheus configuration', () => {
  const requested = new Set<string>()
  const target = createServer((request, response) => {
    requested.add(request.url ?? '')
    // What an exporter says of other pods: these labels must survive.
    response.setHeader('content-type', 'text/plain; version=0.0.4')
    response.end('seen{namespace="of the metric",pod="of the metric"} 1\n')
  })
  let port = 0
  let consul: Consul

  /** Services as the registrar makes them: names and shards as given, all at our target. */
  const services = (options: {
    podServiceName: string
    nodeServiceName: string
    shards: readonly string[]
  }): ServiceRecord[] => {
    const desired = new DesiredServices({
      clusterName: 'c1',
      podServiceName: options.podServiceName,
      nodeServiceName: options.nodeServiceName,
      nodeProxyAddress: '127.0.0.1',
      nodeProxyPort: port,
      shardOf: shardChooser({ shards: options.shards, strategy: 'hash', rebalance: false }),
      podLabels: ['team'],
      nodeLabels: ['zone'],
      podRoute: 'direct',
    })
    const context = { currentShard: () => undefined, nodeIp: () => undefined }
    const at = { ip: '127.0.0.1' }
    const marks = { 'prometheus.io/scrape': 'true', 'prometheus.io/port': String(port) }
    const pods: PodRecord[] = [
      pod({
        ...at,
        name: 'web-6d94-x',
        owner: { kind: 'ReplicaSet', name: 'web-6d94' },
        labels: { 'pod-template-hash': '6d94', team: 'shop' },
        annotations: { ...marks, 'prometheus.io/path': '/web', 'prometheus.io/param_format': 'text' },
      }),
      pod({ ...at, name: 'hangs', ready: false, annotations: { ...marks, 'prometheus.io/path': '/hangs' } }),
      pod({
        ...at,
        namespace: 'podsonar-exporter',
        name: 'podsonar-exporter-abcde',
        owner: { kind: 'DaemonSet', name: 'podsonar-exporter' },
        annotations: { ...marks, 'prometheus.io/path': '/exporter' },
      }),
      pod({
        ...at,
        namespace: 'podsonar',
        name: 'podsonar-registrar-5d4f-x',
        owner: { kind: 'ReplicaSet', name: 'podsonar-registrar-5d4f' },
        labels: { 'pod-template-hash': '5d4f' },
        annotations: { ...marks, 'prometheus.io/path': '/registrar' },
      }),
    ]
    const nodes: NodeRecord[] = [node({ labels: { zone: 'a' } })]
    return [
      ...pods.flatMap((one) => desired.ofPod(one, context).services),
      ...nodes.flatMap((one) => desired.ofNode(one, context).services),
    ]
  }

  const register = async (records: readonly ServiceRecord[]): Promise<void> => {
    for (const { id, name, address, port: at, tags, meta } of records)
      await consul.put('/v1/agent/service/register', {
        ...{ ID: id, Name: name, Address: address, Port: at, Tags: tags, Meta: meta },
      })
  }
  const deregister = async (records: readonly ServiceRecord[]): Promise<void> => {
    for (const { id } of records) await consul.put(`/v1/agent/service/deregister/${id}`, {})
  }

  /** The shipped text with our Consul as server, scraping every second, and what `edit` does to each job. */
  const configured = (edit: (job: Job) => void = () => undefined, text = shipped): string => {
    const config = parse(text) as Config
    config.global = { scrape_interval: '1s', scrape_timeout: '1s' }
    for (const job of config.scrape_configs) {
      for (const discovery of job.consul_sd_configs) discovery.server = new URL(consul.url).host
      edit(job)
    }
    return stringify(config)
  }
  const byJob = (targets: readonly Target[]): Record<string, Record<string, string>[]> =>
    Object.fromEntries(
      Object.entries(Object.groupBy(targets, ({ labels }) => labels['job'] ?? '')).map(
        ([job, found = []]) => [
          job,
          found
            .map(({ labels }) => labels)
            .sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b))),
        ],
      ),
    )
  /**
   * The IDs that each of several configurations finds, all of them in one Prometheus, once they are as `expected`.
   */
  const expectFound = async (
    configs: readonly string[],
    expected: (found: readonly (readonly string[])[]) => void,
  ): Promise<void> => {
    const jobs = configs.flatMap((config, index) =>
      (parse(config) as Config).scrape_configs.map((job) => ({
        ...job,
        job_name: `${index}/${job.job_name}`,
      })),
    )
    await using prometheus = await Prometheus.start(stringify({ scrape_configs: jobs }))
    await waitFor('the expected targets', async () => {
      const targets = await prometheus.targets()
      const idsOf = (index: number) =>
        targets
          .filter(({ scrapePool }) => scrapePool.startsWith(`${index}/`))
          .map(({ discoveredLabels }) => discoveredLabels['__meta_consul_service_id'] ?? '')
          .sort()
      expected(configs.map((_, index) => idsOf(index)))
      return true
    })
  }

  beforeAll(async () => {
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
    port = (target.address() as AddressInfo).port
    consul = await Consul.start()
  })
  afterAll(async () => {
    await consul[Symbol.asyncDispose]()
    target.closeAllConnections()
    await new Promise((resolve) => target.close(resolve))
  })

  const plain = { podServiceName: 'k8s-pods', nodeServiceName: 'k8s-nodes' }

  it('gives Prometheus and VictoriaMetrics the same targets, with the labels that each job promises', async () => {
    const records = services({ ...plain, shards: ['shard-1'] })
    await register(records)
    await using prometheus = await Prometheus.start(configured())
    await using victoria = await VictoriaMetrics.start(configured())
    const instance = `127.0.0.1:${port}`
    const common = { cluster: 'c1', shard: 'shard-1', namespace: 'default', node: 'node-1', instance }
    const expected = {
      'kubernetes-pods': [
        { ...common, job: 'kubernetes-pods', pod: 'hangs' },
        {
          ...{ ...common, job: 'kubernetes-pods', pod: 'web-6d94-x', team: 'shop' },
          ...{ workload: 'web', workload_kind: 'Deployment' },
        },
      ],
      'podsonar-exporter': [{ job: 'podsonar-exporter', cluster: 'c1', instance }],
      'kubernetes-nodes-cadvisor': [
        {
          ...{ job: 'kubernetes-nodes-cadvisor', cluster: 'c1', node: 'node-1', zone: 'a' },
          ...{ shard: 'shard-1', instance: '192.168.0.1' },
        },
      ],
    }
    for (const [name, server] of Object.entries({ prometheus, victoria })) {
      await waitFor(`${name} to scrape all`, async () => {
        const targets = await server.targets()
        return targets.length === 5 && targets.every(({ health }) => health === 'up')
      })
      const jobs = byJob(await server.targets())
      expect(Object.keys(jobs).sort(), name).toEqual(Object.keys(expected).sort())
      for (const [job, labels] of Object.entries(expected))
        expect(jobs[job], `${name}, ${job}`).toEqual(expect.arrayContaining(labels))
    }
    expect([...requested].sort()).toEqual([
      '/api/v1/nodes/192.168.0.1:10250/metrics/cadvisor',
      '/exporter',
      '/hangs',
      '/registrar',
      '/web?format=text',
    ])
    await waitFor('a series', async () => {
      const series = await prometheus.query('seen{job="podsonar-exporter"}')
      for (const { metric } of series)
        expect(metric).toMatchObject({ namespace: 'of the metric', pod: 'of the metric', cluster: 'c1' })
      expect(series.length).toBe(1) // both are the same address here, and the metric has no label of its own
      return true
    })
    await deregister(records)
  })

  it('leaves unready pods out, and shares the rest among several Prometheus, by what its comments say', async () => {
    const shards = ['shard-1', 'shard-2', 'shard-3']
    const records = services({ ...plain, shards })
    await register(records)
    const uncommented = shipped.replaceAll(
      /^ {6}# (- source_labels: \[__meta_consul_service_metadata_ready\]\n) {6}# ( {2}regex: "false"\n) {6}# ( {2}action: drop\n)/gm,
      '      $1      $2      $3',
    )
    expect(uncommented).not.toBe(shipped)
    const share = (letter: string, index: number) =>
      configured((job) => {
        const rules = JSON.stringify(advised(letter))
          .replace('shard-1', `shard-${index + 1}`)
          .replace('"0"', `"${index}"`)
        job.relabel_configs.unshift(...(JSON.parse(rules) as unknown[]))
      })
    const indices = [...shards.keys()]
    const shares = (letter: string) => indices.map((index) => share(letter, index))
    const all = records.map(({ id }) => id).sort()
    await expectFound(
      [configured(undefined, uncommented), ...shares('a'), ...shares('b')],
      ([ready = [], ...rest]) => {
        expect(ready).toEqual(all.filter((id) => id !== 'pod--default--hangs'))
        expect(rest.slice(0, 3)).toEqual(
          shards.map((shard) =>
            records
              .filter(({ meta }) => meta['shard_path'] === shard)
              .map(({ id }) => id)
              .sort(),
          ),
        )
        expect(rest.slice(3).flat().sort()).toEqual(all)
      },
    )
    await deregister(records)
  })

  it('asks Consul only for its own shard when services are named after shards', async () => {
    const shards = ['shard-1', 'shard-2']
    const { settings } = advisedNames('shard-1')
    const records = services({
      podServiceName: settings['POD_SERVICE_NAME'] ?? '',
      nodeServiceName: settings['NODE_SERVICE_NAME'] ?? '',
      shards,
    })
    await register(records)
    const configs = shards.map((shard) => {
      const [pods = '', nodes = ''] = advisedNames(shard).services
      return configured((job) => {
        for (const discovery of job.consul_sd_configs)
          discovery.services = discovery.services.map((name) => (name === 'k8s-nodes' ? nodes : pods))
      })
    })
    await expectFound(configs, (found) => {
      expect(found).toEqual(
        shards.map((shard) =>
          records
            .filter(({ meta }) => meta['shard_path'] === shard)
            .map(({ id }) => id)
            .sort(),
        ),
      )
    })
    await deregister(records)
  })
})
