import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Containerd, type LabPod } from '../../../lab/containerd.ts'
import { unpacked } from '../../../lab/needs.ts'
import { run } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { hasBegun, objectsOf, startMonitor, totalsOf } from '../../support/monitor.ts'

/** etcd, and a container beside it that writes to it over and over. */
async function runStore(containerd: Containerd, programs: string): Promise<LabPod> {
  const url = 'http://0.0.0.0:2379'
  const mounts = { '/usr': '/usr', '/programs': join(programs, 'usr/bin') }
  return containerd.runPod({
    ...{ name: 'store-0', namespace: 'shop' },
    containers: [
      {
        ...{ name: 'etcd', mounts },
        command: [
          ...['/programs/etcd', '--data-dir', '/tmp/etcd'],
          ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ],
      },
      {
        ...{ name: 'writer', mounts, env: { ETCDCTL_API: '3' } },
        command: ['sh', '-c', 'while :; do /programs/etcdctl put key value; sleep 1; done'],
      },
    ],
  })
}

describeWith(['root', 'containerd', 'bpf', 'etcd'], 'podsonar monitor of a pod that speaks gRPC', () => {
  it('tells calls that it serves and makes, by method and status', async () => {
    await using containerd = await Containerd.start()
    const programs = await unpacked('etcd')
    const pod = await runStore(containerd, programs)
    const call = (...args: string[]): Promise<string> =>
      run(join(programs, 'usr/bin/etcdctl'), ['--endpoints', `${pod.ip}:2379`, ...args], {
        env: { ETCDCTL_API: '3' },
      })
    await waitFor('etcd to answer', () => call('get', 'key').then(() => true))
    const found = ['user', 'grpc', '--namespace', 'shop', '--pod', 'store-0']
    await using watching = await startMonitor(containerd.socket, [...found, '--json'])
    await using lines = await startMonitor(containerd.socket, [...found, '--events'])
    await hasBegun(watching)
    await waitFor('the other to begin', () => lines.stdout.includes('watching'))
    for (let n = 0; n < 3; n += 1) await call('get', 'key')
    await expect(call('lease', 'revoke', '1234')).rejects.toThrow('requested lease not found')
    const response = await fetch(`http://${pod.ip}:2379/version`) // no call
    await response.text()

    const told = (container: string, method: string, status: string): number =>
      objectsOf(watching).filter(
        (one) => one['container'] === container && one['method'] === method && one['status'] === status,
      ).length
    await waitFor('the calls to be told', () => {
      expect(told('etcd', 'etcdserverpb.KV/Range', 'OK')).toBe(3)
      expect(told('etcd', 'etcdserverpb.Lease/LeaseRevoke', 'NOT_FOUND')).toBe(1)
      expect(told('etcd', 'etcdserverpb.KV/Put', 'OK')).toBeGreaterThan(0)
      return told('writer', 'etcdserverpb.KV/Put', 'OK') > 0
    })
    expect(objectsOf(watching).filter(({ type }) => type === 'http')).toEqual([])
    await waitFor('the lines', () => {
      const clock = String.raw`^\d\d:\d\d:\d\d\.\d{3}`
      for (const line of [
        `${clock} grpc served etcd etcdserverpb\\.KV/Range OK in \\S+, `,
        `${clock} grpc served etcd etcdserverpb\\.Lease/LeaseRevoke NOT_FOUND in \\S+, `,
        `${clock} grpc made +writer etcdserverpb\\.KV/Put to 127\\.0\\.0\\.1:2379 OK in \\S+, `,
      ])
        expect(lines.stdout).toMatch(new RegExp(line, 'm'))
      return true
    })

    expect(await totalsOf(watching)).toMatchObject({
      requests: {
        'grpc served': {
          failed: 1,
          statuses: { NOT_FOUND: 1 },
          paths: {
            'etcdserverpb.KV/Range': { count: 3, failed: 0 },
            'etcdserverpb.Lease/LeaseRevoke': { count: 1, failed: 1 },
          },
        },
        'grpc made': { failed: 0 },
      },
    })
    lines.kill('SIGINT')
    await lines.exited
    expect(lines.stdout).toMatch(/\ngRPC calls served +mean\/s +total +failed/)
    expect(lines.stdout).toMatch(/\ngRPC calls made +mean\/s +total/)
    expect(lines.stdout).toMatch(/\netcdserverpb\.Lease\/LeaseRevoke +1 +1 /)
  })
})
