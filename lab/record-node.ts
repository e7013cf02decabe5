/**
 * Records test/fixtures/exporter-node: what the exporter reads of a node with three pods, from a real containerd and this
 * machine's /proc and cgroups. `node lab/record-node.ts`, as root. The node's own network is that of a process with sockets
 * in every state, not this machine's. Folder names become the usual defaults.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseMounts } from '../src/exporter/core/parse-mountinfo.ts'
import { Containerd } from './containerd.ts'
import { Cri, programProto } from './cri.ts'
import { SocketHolder } from './network-namespace.ts'

const target = fileURLToPath(new URL('../test/fixtures/exporter-node', import.meta.url))
const processFiles = ['stat', 'cgroup', 'mountinfo', 'comm'].concat(
  ['tcp', 'tcp6', 'udp', 'udp6', 'sockstat', 'sockstat6', 'snmp', 'netstat', 'dev'].map(
    (name) => `net/${name}`,
  ),
)
const hierarchies = ['cpu', 'cpuacct', 'memory', 'blkio', 'pids', 'unified']

const containerd = await Containerd.start()
try {
  const server = await containerd.runPod({
    ...{ name: 'shop-0', namespace: 'shop', labels: { app: 'shop', 'example.com/tier': 'web' } },
    containers: [
      { name: 'web', command: ['nc', '-ll', '-p', '8080', '-e', 'cat'] },
      { name: 'sidecar', command: ['nc', '-ll', '-p', '9090', '-e', 'cat'] },
    ],
  })
  const dial = (port: number): string => `sleep 100000 | nc ${server.ip} ${port} &`
  await containerd.runPod({
    ...{ name: 'caller-7d9f-x2', namespace: 'default', labels: { app: 'caller' } },
    command: ['sh', '-c', `${dial(8080)} ${dial(8080)} ${dial(9090)} sleep 100000`],
  })
  await containerd.runPod({ name: 'agent', namespace: 'kube-system', hostNetwork: true })
  await using node = await SocketHolder.states()
  await rm(target, { recursive: true, force: true })
  await record(containerd, node.pid)
} finally {
  await containerd[Symbol.asyncDispose]()
}

async function record({ socket, bridge }: Containerd, nodePid: number): Promise<void> {
  const folder = dirname(socket)
  const clean = (text: string): string =>
    text
      .replaceAll(`${folder}/root`, '/var/lib/containerd')
      .replaceAll(`${folder}/state`, '/run/containerd')
      .replaceAll(folder, '/run/containerd')
      .replaceAll(`podsonar-lab-${bridge.name}`, 'kubepods')
  const write = (path: string, text: string): void => {
    const file = join(target, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, clean(text))
  }

  using cri = new Cri(socket, programProto)
  const call = (method: string, request = {}): Promise<object> =>
    cri.call<object>('RuntimeService', method, request)
  const { containers } = (await call('ListContainers')) as { containers: { id: string }[] }
  const statuses: Record<string, unknown> = {}
  const pids: number[] = []
  for (const { id } of containers) {
    const status = (await call('ContainerStatus', { containerId: id, verbose: true })) as {
      info: Record<string, string>
    }
    const { sandboxID, pid } = JSON.parse(status.info['info'] ?? '{}') as { sandboxID: string; pid: number }
    statuses[id] = { ...status, info: { info: JSON.stringify({ sandboxID, pid }) } }
    pids.push(pid)
  }
  const answers = {
    Version: await call('Version'),
    ListPodSandbox: await call('ListPodSandbox'),
    ListContainers: { containers },
    ListContainerStats: await call('ListContainerStats'),
    ContainerStatus: statuses,
  }
  write('cri.json', `${JSON.stringify(answers, null, 1)}\n`)

  write('proc/stat', `${readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? ''}\n`)
  write('proc/self/.keep', '')
  write('proc/diskstats', readFileSync('/proc/diskstats', 'latin1'))
  recordProcess(nodePid, 1)
  const groups = pids.map((pid) => readFileSync(`/proc/${pid}/cgroup`, 'latin1'))
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    try {
      if (groups.includes(readFileSync(`/proc/${pid}/cgroup`, 'latin1'))) recordProcess(pid, pid)
    } catch {
      // it ended meanwhile
    }
  }
  for (const hierarchy of hierarchies) {
    write(`cgroup/${hierarchy}/cgroup.${hierarchy === 'unified' ? 'controllers' : 'procs'}`, '')
    for (const group of groups) {
      const path = /^0::(.*)$/m.exec(group)?.[1] ?? ''
      recordCgroup(join('/sys/fs/cgroup', hierarchy, path), clean(join('cgroup', hierarchy, path)))
    }
  }

  function recordProcess(from: number, to: number): void {
    // Whoever is on this machine's network is, in the record, on that of process 1.
    const inOurs = readlinkSync(`/proc/${from}/ns/net`) === readlinkSync('/proc/self/ns/net')
    const networkFrom = inOurs ? nodePid : from
    for (const file of processFiles) {
      // Only the sockets of process 1 are wanted: the rest would be this machine's.
      if (to === 1 && !file.startsWith('net/')) continue
      const path = `/proc/${file.startsWith('net/') ? networkFrom : from}/${file}`
      if (existsSync(path)) write(`proc/${to}/${file}`, readFileSync(path, 'latin1'))
    }
    const descriptors = to === 1 ? [] : readdirSync(`/proc/${from}/fd`).map((name) => `fd/${name}`)
    for (const link of ['ns/net', ...descriptors]) {
      const file = join(target, `proc/${to}/${link}`)
      mkdirSync(dirname(file), { recursive: true })
      symlinkSync(readlinkSync(`/proc/${link === 'ns/net' ? networkFrom : from}/${link}`), file)
    }
    if (to === 1) {
      write('proc/1/cgroup', '0::/\n')
      return
    }
    for (const { mountpoint } of parseMounts(readFileSync(`/proc/${from}/mountinfo`, 'latin1')))
      write(join(`proc/${to}/root`, mountpoint, '.keep'), '')
  }

  function recordCgroup(from: string, to: string): void {
    if (!existsSync(from)) return
    for (const file of readdirSync(from)) {
      if (
        !/^(cpuacct\.(usage|stat)|cpu\.stat|memory\.(stat|usage_in_bytes|max_usage_in_bytes|limit_in_bytes|failcnt|oom_control)|blkio\.throttle\.io_service.*recursive|pids\.max|.*\.pressure)$/.test(
          file,
        )
      )
        continue
      try {
        write(join(to, file), readFileSync(join(from, file), 'latin1'))
      } catch {
        // pressure can be switched off
      }
    }
  }
}
