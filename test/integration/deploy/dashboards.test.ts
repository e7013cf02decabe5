import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, it } from 'vitest'
import { demoPrometheusConfig } from '../../../demo/prometheus-config.ts'
import { SimulatedCluster } from '../../../demo/simulated-cluster.ts'
import { Consul } from '../../../lab/consul.ts'
import { Containerd } from '../../../lab/containerd.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import { freePorts } from '../../../lab/ports.ts'
import { Program } from '../../../lab/program.ts'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { runRequestPods } from '../../support/request-pods.ts'
import { runSidecarPods } from '../../support/sidecar-pods.ts'

interface Model {
  readonly title: string
  readonly templating: { list: { name: string; type: string; query: string | { query: string } }[] }
  readonly panels: { title: string; targets?: { expr: string }[] }[]
}

const folder = new URL('../../../deploy/grafana/', import.meta.url)
const dashboards = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Model)

/** Every query of every panel, with what Grafana would put in for its variables when all is chosen. */
const queries = dashboards.flatMap(({ title, panels }) =>
  panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ expr }) => ({
      where: `${title}: ${panel.title}`,
      label: undefined,
      expr: expr.replaceAll('$__rate_interval', '20s').replaceAll(/"\$[a-z]+"/g, '".*"'),
    })),
  ),
)
/** What variables are chosen from: `label_values(SERIES, LABEL)`. */
const choices = dashboards.flatMap(({ title, templating }) =>
  templating.list
    .filter(({ type }) => type === 'query')
    .map(({ name, query }) => {
      const text = typeof query === 'string' ? query : query.query
      const [, series = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(text) ?? []
      return { where: `${title}: ${name}`, expr: series.replaceAll(/"\$[a-z]+"/g, '".*"'), label }
    }),
)

/** In version 1 a cgroup's disk use is counted only where it has a limit: sets one that is never reached. */
function countDiskUse(pid: number): void {
  const [, group] = /^\d+:blkio:(.+)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? []
  if (group === undefined) return
  const { dev } = statSync(tmpdir())
  const device = `${(dev >> 8) & 0xfff}:${dev & 0xff}`
  writeFileSync(`/sys/fs/cgroup/blkio${group}/blkio.throttle.write_bps_device`, `${device} 1000000000`)
}

describeWith(
  ['root', 'bpf', 'containerd', 'consul', 'prometheus', 'etcd'],
  'the dashboards, on what a real Prometheus scraped from the real program',
  () => {
    it('have data in every query of every panel', { timeout: 180_000 }, async () => {
      await using consul = await Consul.start()
      await using containerd = await Containerd.start()
      const listen = 'nc -ll -p 5432 -e cat & nc -ll -p 7000 -e sleep 1000000'
      const database = await containerd.runPod({
        ...{ name: 'postgres-0', namespace: 'shop' },
        command: [
          'sh',
          '-c',
          `${listen} & while sleep 1; do dd if=/dev/zero of=/written bs=1M count=1 conv=fsync; done`,
        ],
      })
      countDiskUse(database.containers[0]?.pid ?? 0)
      // A connection that stays, one that the database does not close, many short ones, and some to where nobody listens.
      const orders = [
        `sleep 1000000 | nc ${database.ip} 5432 &`,
        `nc ${database.ip} 7000 < /dev/null &`,
        `while :; do echo hello | nc -w 1 ${database.ip} 5432; nc ${database.ip} 9; done`,
      ]
      await containerd.runPod({
        ...{ name: 'orders-1', namespace: 'shop' },
        command: ['sh', '-c', orders.join('\n')],
      })
      await runRequestPods(containerd)
      await runSidecarPods(containerd)
      const [exporterPort = 0, registrarPort = 0, proxyPort = 0, opsPort = 0] = await freePorts(4)
      await using cluster = await SimulatedCluster.start(exporterPort)
      await using _exporter = await Program.start(['exporter'], {
        PORT: String(exporterPort),
        RUNTIME_ENDPOINT: containerd.socket,
        COLLECTORS:
          'connections,tcp,udp,sockstat,filesystem,tcp_health,network,resources,processes,advtcp,http,grpc,stack,sidecar',
        CONNECTIONS_SOURCE: 'ebpf',
        LIBBPF_PATH: libbpfFile(),
      })
      await using proxy = await Program.start(['proxy'], {
        KUBECONFIG: cluster.kubeconfig,
        PORT: String(proxyPort),
        OPS_PORT: String(opsPort),
        ...cluster.settings.proxy,
      })
      await using registrar = await Program.start(['registrar'], {
        KUBECONFIG: cluster.kubeconfig,
        PORT: String(registrarPort),
        CONSUL_ADDRESS: consul.url,
        CLUSTER_NAME: 'c1',
        POD_SERVICE_NAME: 'k8s-pods',
        NODE_SERVICE_NAME: 'k8s-nodes',
        NODE_PROXY_ADDRESS: '127.0.0.1',
        NODE_PROXY_PORT: String(proxyPort),
      })
      cluster.addLocal({ kind: 'DaemonSet', name: 'registrar' }, registrarPort)
      cluster.addLocal({ kind: 'DaemonSet', name: 'proxy' }, opsPort)
      cluster.addLocal({ kind: 'DaemonSet', name: 'without-port' })
      const proxyUrl = await proxy.url('PORT')
      await registrar.url()
      await using prometheus = await Prometheus.start(
        demoPrometheusConfig(consul.url.slice('http://'.length)),
      )

      expect(queries.length).toBeGreaterThan(90)
      const lookAtAll = async (): Promise<boolean> => {
        // Something that the proxy refuses.
        await fetch(`${proxyUrl}/api/v1/nodes/192.0.2.1:10250/metrics/cadvisor`)
        const missing: string[] = []
        for (const { where, expr, label } of [...queries, ...choices]) {
          const found = await prometheus.query(expr)
          if (!found.some(({ metric }) => label === undefined || (metric[label] ?? '') !== ''))
            missing.push(`${where}: ${expr}`)
        }
        if (missing.length > 0) throw new Error(`No data:\n${missing.join('\n')}`)
        return true
      }
      await waitFor('every query to have data', lookAtAll, { timeoutMs: 120_000, everyMs: 2_000 })
    })
  },
)
