/**
 * A program for lab/virtual-machine.ts: compares the socket table with /proc, and the counts of TCP health, of requests and of
 * packets with what was done, on the kernel that it runs on, and says how it went as a line of JSON behind `outcome: `.
 */
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { release } from 'node:os'
import { libbpfInMachine } from '../../lab/virtual-machine.ts'
import { BareNamespaces, lives, networkNamespace, SocketHolder } from '../../lab/network-namespace.ts'
import { waitFor } from '../../lab/wait.ts'
import { silentLogger } from '../../src/common/logger.ts'
import { tcpHealthField as field, tcpHealthFields } from '../../src/exporter/core/decode-tcp-health.ts'
import { chooseSocketTableSource } from '../../src/exporter/ebpf/choose-source.ts'
import { RequestReader } from '../../src/exporter/ebpf/request-reader.ts'
import { StackReader } from '../../src/exporter/ebpf/stack-reader.ts'
import { SocketTableReader } from '../../src/exporter/ebpf/socket-table-reader.ts'
import { TcpHealthReader } from '../../src/exporter/ebpf/tcp-health-reader.ts'
import { explainEbpfError } from '../../src/exporter/ebpf/obstacle.ts'
import { EbpfWorker } from '../../src/exporter/ebpf/worker-client.ts'
import { ProcfsTableSource } from '../../src/exporter/procfs-table.ts'
import { describeRow, procSockets, socketRows } from './proc-sockets.ts'
import { stagesOf, stackTraffic } from './stack-stages.ts'

/** Requests that are made. */
const asked = 5
const usual = { log: silentLogger, libbpf: libbpfInMachine }

/** Which source CONNECTIONS_SOURCE=auto takes, and why. */
async function source(): Promise<{ name: string; reasons: string[] }> {
  const reasons: string[] = []
  const log = { ...usual.log, warn: (_fields: unknown, message: string) => void reasons.push(message) }
  await using worker = new EbpfWorker(silentLogger)
  await using procfs = new ProcfsTableSource({
    root: '/proc',
    inboundPorts: false,
    onSkipped: () => undefined,
  })
  const { name } = await chooseSocketTableSource({ ...usual, choice: 'auto', procfs, worker, log })
  return { name, reasons }
}

/** Rows that both show, and rows that only one of them does. */
async function table(
  sysctls: Readonly<Record<string, number>>,
): Promise<{ equal: number; differ: string[] }> {
  await using holder = await SocketHolder.states(sysctls)
  using reader = new SocketTableReader(usual)
  return await waitFor('two equal readings of /proc', () => {
    const before = procSockets(holder.pid)
    const rows = socketRows(reader).filter(({ namespace }) => namespace === holder.namespace)
    if (before.join() !== procSockets(holder.pid).join()) return undefined
    const ours = rows.map(describeRow)
    const [seen, shown] = [new Set(ours), new Set(before)]
    const differ = [...ours.filter((row) => !shown.has(row)), ...before.filter((row) => !seen.has(row))]
    return { equal: ours.length, differ: differ.slice(0, 10) }
  })
}

async function health(): Promise<{ connects: number; accepts: number; refused: number; expected: number }> {
  using reader = new TcpHealthReader(usual)
  await using holder = await SocketHolder.lives()
  const { rows } = reader.read(0)
  const sums = { connects: 0, accepts: 0, refused: 0 }
  for (let row = 0; row < rows.length; row += 1) {
    if (rows.namespace[row] !== holder.namespace) continue
    const at = row * tcpHealthFields
    sums.connects += rows.counters[at + field.connects] ?? 0
    sums.accepts += rows.counters[at + field.accepts] ?? 0
    sums.refused += rows.counters[at + field.failures] ?? 0
  }
  return { ...sums, expected: lives.ended + lives.reset + lives.open + 1 }
}

/** Requests of this process to itself, as they were counted: `kind status`; or why they cannot be watched. */
async function requestsSeen(): Promise<Record<string, number> | string> {
  const server = createServer((_request, response) => response.end('done'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    using reader = new RequestReader({ ...usual, maxSeries: 10, maxConnections: 16 })
    reader.watch([{ cgroupId: statSync('/sys/fs/cgroup/inside').ino, owner: 'it' }])
    const { port } = server.address() as AddressInfo
    for (let index = 0; index < asked; index += 1)
      await (await fetch(`http://127.0.0.1:${port}/items/${index}`)).text()
    const seen = (): Record<string, number> =>
      Object.fromEntries(
        reader.read(false).series.map(({ kind, labels, buckets }) => {
          const status = /status_code="(\d*)"/.exec(labels)?.[1] ?? ''
          return [`${kind} ${status}`, buckets.reduce((sum, value) => sum + value, 0)]
        }),
      )
    const both = 2 * asked
    await waitFor('the requests', () => Object.values(seen()).reduce((sum, value) => sum + value, 0) >= both)
    return seen()
  } catch (error) {
    return await explainEbpfError(error, '5.10')
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

/** Stages of the network stack that packets were seen in, of datagrams and of a stream; or why they cannot be watched. */
async function stackSeen(): Promise<string[] | string> {
  try {
    using reader = new StackReader(usual)
    await using namespaces = await BareNamespaces.create(1)
    const [pid = 0] = namespaces.pids
    reader.watch([networkNamespace(pid)])
    await stackTraffic(pid, 'datagrams', '50')
    await stackTraffic(pid, 'late-reader')
    return Object.keys(stagesOf(reader)).sort()
  } catch (error) {
    return await explainEbpfError(error)
  }
}

const chosen = await source()
const requests = await requestsSeen()
const stack = await stackSeen()
const outcome =
  chosen.name === 'procfs'
    ? { kernel: release(), source: chosen, requests, stack }
    : {
        ...{ kernel: release(), source: chosen, requests, stack, shared: await table({}) },
        own: await table({ tcp_child_ehash_entries: 64, udp_child_hash_entries: 256 }),
        health: await health(),
      }
console.log(`outcome: ${JSON.stringify(outcome)}`)
