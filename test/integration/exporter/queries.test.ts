import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'

const connections = [
  ['10.0.0.5', '5432', 'ESTABLISHED', 'shop-1', 4],
  ['10.0.0.6', '6379', 'ESTABLISHED', 'shop-1', 2],
  ['192.0.2.7', '9092', 'ESTABLISHED', 'shop-1', 1],
  ['10.0.0.9', '0', 'ESTABLISHED', 'shop-1', 9],
  ['10.0.0.5', '5432', 'ESTABLISHED', 'other-1', 3],
  ['10.0.0.8', '443', 'CLOSE_WAIT', 'shop-2', 30],
] as const

const metrics = [
  ...connections.map(
    ([address, port, status, pod, count]) =>
      `pod_connect_info{remote_addr="${address}",remote_port="${port}",status="${status}",pod_name="${pod}",pod_namespace="default",container="main",node="n"} ${count}`,
  ),
  'podsonar_peer_info{remote_addr="10.0.0.5",kind="pod",namespace="db",name="postgres-0",workload="postgres"} 1',
  'podsonar_peer_info{remote_addr="10.0.0.6",kind="service",namespace="db",name="redis",workload=""} 1',
  '',
].join('\n')

describeWith(['prometheus'], 'the queries of docs/exporter.md', () => {
  it('answer what they say', async () => {
    const server = createServer((_, response) => response.end(metrics))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const text = await readFile(new URL('../../../docs/exporter.md', import.meta.url), 'utf8')
      const [byPort = '', named = '', hanging = ''] = [...text.matchAll(/```promql\n(.*?)```/gs)].map(
        ([, query = '']) => query,
      )
      await using prometheus = await Prometheus.start(`
scrape_configs:
  - job_name: both
    honor_labels: true
    scrape_interval: 1s
    static_configs: [{ targets: ["127.0.0.1:${(server.address() as AddressInfo).port}"] }]
`)
      const answer = async (query: string, ...labels: string[]): Promise<string[]> =>
        (await prometheus.query(query))
          .map(({ metric, value }) => [...labels.map((label) => metric[label] ?? '-'), value[1]].join(' '))
          .sort()
      await waitFor('a scrape', async () => (await prometheus.query('podsonar_peer_info')).length === 2)
      expect(await answer(byPort, 'pod_name', 'remote_addr', 'what')).toEqual([
        'shop-1 10.0.0.5 database 4',
        'shop-1 10.0.0.6 cache 2',
        'shop-1 192.0.2.7 queue 1',
      ])
      expect(await answer(named, 'remote_addr', 'kind', 'name')).toEqual([
        '10.0.0.5 pod postgres-0 4',
        '10.0.0.6 service redis 2',
        '192.0.2.7 - - 1',
      ])
      expect(await answer(hanging, 'pod_name')).toEqual(['shop-2 30'])
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
