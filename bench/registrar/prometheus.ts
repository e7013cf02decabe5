import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { Consul } from '../../lab/consul.ts'
import { Program } from '../../lab/program.ts'
import { Prometheus } from '../../lab/prometheus.ts'
import { waitFor } from '../../lab/wait.ts'
import { bigCluster, settingsFor } from './cluster.ts'

/** How many of `pods` targets under one service name Prometheus finds, and over how many connections. */
export async function prometheusConnections(
  pods: number,
  entry: string,
): Promise<{ readonly targets: number; readonly connections: number }> {
  await using kubernetes = await bigCluster(pods, 1)
  await using consul = await Consul.start()
  const settings = { ...(await settingsFor(kubernetes, consul.url)), POD_SERVICE_NAME: 'k8s-pods' }
  await using program = await Program.start(['registrar'], settings, entry)
  const url = await program.url()
  const patience = { timeoutMs: 120_000, everyMs: 500 }
  await waitFor('everything to be registered', async () => (await fetch(`${url}/readyz`)).ok, patience)
  const server = consul.url.slice('http://'.length)
  // It never gets round to scrape: there is nothing behind the addresses.
  await using prometheus = await Prometheus.start(`
global: { scrape_interval: 1h }
scrape_configs:
  - job_name: pods
    consul_sd_configs: [{ server: "${server}", services: [k8s-pods], refresh_interval: 1s }]
`)
  let connections = 0
  const targets = await waitFor(
    'all targets',
    async () => {
      connections = Math.max(connections, connectionsTo(prometheus.pid, Number(server.split(':')[1])))
      const found = (await prometheus.targets()).length
      return found >= pods && found
    },
    patience,
  )
  return {
    targets,
    connections: Math.max(connections, connectionsTo(prometheus.pid, Number(server.split(':')[1]))),
  }
}

/** Established connections of a process to a port. Source: proc(5), /proc/PID/fd and /proc/net/tcp. */
function connectionsTo(pid: number, port: number): number {
  const own = new Set<string>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      if (inode !== undefined) own.add(inode)
    } catch {
      // Closed in the meantime.
    }
  }
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  const established = '01'
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote = '', state, , , , , , inode = '']) => {
      return remote.endsWith(`:${hexPort}`) && state === established && own.has(inode)
    }).length
}
