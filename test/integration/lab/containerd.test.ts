import { readFileSync } from 'node:fs'
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { expect, it } from 'vitest'
import { Containerd } from '../../../lab/containerd.ts'
import { describeWith } from '../../setup/needs.ts'

/** What of a private containerd is still on this machine. */
async function leftovers(containerd: Containerd): Promise<string[]> {
  const processes = (await readdir('/proc'))
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        return args.includes(containerd.socket) ? [args] : []
      } catch {
        return []
      }
    })
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .filter((line) => line.includes(containerd.socket.replace('/containerd.sock', '/')))
  const bridges = Object.keys(networkInterfaces()).filter((name) => name === containerd.bridge.name)
  return [...processes, ...mounts, ...bridges]
}

describeWith(['root', 'containerd'], 'a private containerd', () => {
  it('runs pods with networks of their own or of the host, and takes all of it away again', async () => {
    const containerd = await Containerd.start()
    try {
      const [alone, host] = await Promise.all([
        containerd.runPod({ name: 'alone', labels: { app: 'a' }, command: ['sleep', '1000'] }),
        containerd.runPod({ name: 'host', hostNetwork: true, containers: [{ name: 'a' }, { name: 'b' }] }),
      ])
      const own = await readlink('/proc/self/ns/net')
      expect(await readlink(`/proc/${String(alone.containers[0]?.pid)}/ns/net`)).not.toBe(own)
      for (const { pid } of host.containers) expect(await readlink(`/proc/${pid}/ns/net`)).toBe(own)
      expect(host.containers.map(({ name }) => name)).toEqual(['a', 'b'])
      expect(alone.ip).toMatch(/^10\./)
      expect(alone.ipv6).toMatch(/^fd70:/)
      expect(await leftovers(containerd)).not.toEqual([])
    } finally {
      await containerd[Symbol.asyncDispose]()
    }
    expect(await leftovers(containerd)).toEqual([])
    await expect(stat(containerd.socket)).rejects.toThrow('ENOENT')
  })

  it('takes its pods away even when it was killed', async () => {
    const containerd = await Containerd.start()
    try {
      await containerd.runPod({ name: 'orphan' })
      await containerd.kill()
    } finally {
      await containerd[Symbol.asyncDispose]()
    }
    expect(await leftovers(containerd)).toEqual([])
  })

  it('finds its pods again after a restart', async () => {
    await using containerd = await Containerd.start()
    const pod = await containerd.runPod({ name: 'survivor' })
    await containerd.kill()
    await containerd.restart()
    expect(await containerd.ctr(['tasks', 'ls'])).toContain(pod.containers[0]?.id)
    await containerd.removePod(pod)
  })
})
