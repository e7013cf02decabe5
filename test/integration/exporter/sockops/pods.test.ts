import { openSync, closeSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Containerd, type ContainerSpec, type LabContainer } from '../../../../lab/containerd.ts'
import { TemporaryFolder } from '../../../../lab/files.ts'
import { libbpfFile } from '../../../../lab/needs.ts'
import { Program } from '../../../../lab/program.ts'
import { Turn } from '../../../../lab/turn.ts'
import { waitFor } from '../../../../lab/wait.ts'
import { otherOwners } from '../../../../src/exporter/ebpf/hook-owners.ts'
import { Libbpf } from '../../../../src/exporter/ebpf/libbpf.ts'
import { describeWith } from '../../../setup/needs.ts'
import { scrape, valuesBy } from '../../../support/exposition.ts'

const pair = fileURLToPath(new URL('../../../support/echo-pair.ts', import.meta.url))
const echo = (name: string, ...args: readonly string[]): ContainerSpec => ({
  name,
  command: ['/node', '/echo-pair.ts', ...args],
  mounts: { '/usr': '/usr', '/node': process.execPath, '/echo-pair.ts': pair },
})
const server = echo('server', 'serve', '8080')
const annotations = { 'podsonar.io/sockops': 'true' }

/** Names of the programs at the socket hook of a container's cgroup. */
function hooksOf({ pid }: LabContainer): string[] {
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? ''
  const folder = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].map((root) => join(root, path))
  const fd = folder.flatMap((one) => {
    try {
      return openSync(one, 'r')
    } catch {
      return []
    }
  })[0]
  if (fd === undefined) throw new Error(`no cgroup of ${pid}`)
  try {
    return otherOwners(Libbpf.load(libbpfFile()), fd)
  } finally {
    closeSync(fd)
  }
}

async function redirected(url: string): Promise<number> {
  const values = valuesBy(await scrape(url), 'podsonar_sockops_redirected_messages_total', () => 'all')
  return values['all'] ?? 0
}

const settings = (socket: string): Record<string, string> => ({
  ...{ RUNTIME_ENDPOINT: socket, LIBBPF_PATH: libbpfFile(), COLLECTORS: 'sockstat' },
  ...{ SOCKOPS: 'true', SOCKOPS_OBSERVE_SECONDS: '0' },
})

describeWith(['root', 'containerd', 'bpf'], 'connections of pods on a real containerd', () => {
  it('are short-cut within a chosen pod and between two, through restarts, a stop and a crash', async () => {
    await using _turn = await Turn.shared('sockops')
    await using containerd = await Containerd.start()
    const plain = await containerd.runPod({
      ...{ name: 'plain', containers: [server, echo('client', 'ask', '127.0.0.1', '8080')] },
    })
    await using first = await Program.start(['exporter'], settings(containerd.socket))
    const url = await first.url()
    const own = await containerd.runPod({ name: 'own', annotations, containers: [server] })
    const [serving] = own.containers
    if (serving === undefined) throw new Error('no container')
    await waitFor('the server to be attached to', () => hooksOf(serving).includes('podsonar_ops'))
    expect(await redirected(url)).toBe(0)
    const asking = await containerd.addContainer(own, echo('client', 'ask', '127.0.0.1', '8080'))
    await waitFor('messages within the pod', async () => (await redirected(url)) > 100)

    await containerd.removeContainer(asking)
    const other = await containerd.runPod({
      name: 'other',
      annotations,
      containers: [echo('client', 'ask', own.ip, '8080')],
    })
    const before = await redirected(url)
    await waitFor('messages between the pods', async () => (await redirected(url)) > before + 100)

    // A container that is started again is found again; its peer connects anew.
    await containerd.removeContainer(serving)
    const again = await containerd.addContainer(own, server)
    const atRestart = await redirected(url)
    await waitFor('messages to the new one', async () => (await redirected(url)) > atRestart + 100)
    expect(plain.containers.flatMap(hooksOf)).toEqual([])

    first.process.kill('SIGTERM')
    expect(await first.process.exited).toMatchObject({ code: 0 })
    expect([again, ...other.containers].flatMap(hooksOf)).toEqual([])
    await using second = await Program.start(['exporter'], settings(containerd.socket))
    const secondUrl = await second.url()
    await waitFor('messages of a second exporter', async () => (await redirected(secondUrl)) > 100)
    second.process.kill('SIGKILL')
    await second.process.exited
    expect([again, ...other.containers].flatMap(hooksOf)).toEqual([])
    // The client ends at the first byte that is wrong, and a container that ended has no cgroup.
    const [client] = other.containers
    if (client === undefined) throw new Error('no client')
    process.kill(client.pid, 0)
  }, 180_000)

  it('are left alone where Cilium is', async () => {
    await using folder = await TemporaryFolder.create('proc')
    mkdirSync(join(folder.path, '1/net'), { recursive: true })
    mkdirSync(join(folder.path, 'self'))
    writeFileSync(
      join(folder.path, '1/net/dev'),
      'Inter-|  Receive\n face |bytes\n    lo: 0 0\ncilium_host: 0 0\n',
    )
    writeFileSync(join(folder.path, 'stat'), 'cpu  0\n')
    await using exporter = await Program.start(['exporter'], {
      ...settings('/nowhere/containerd.sock'),
      PROC_PATH: folder.path,
    })
    expect(await exporter.process.exited).not.toMatchObject({ code: 0 })
    expect(exporter.process.stderr + exporter.process.stdout).toContain('cilium_host')
  })
})
