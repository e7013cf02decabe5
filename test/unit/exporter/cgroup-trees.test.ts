import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { Cgroupfs } from '../../../src/exporter/cgroupfs.ts'
import { cgroupName, parseCgroups } from '../../../src/exporter/core/parse-process.ts'
import { resourceUsage } from '../../../src/exporter/core/resource-usage.ts'

const id = 'ab'.repeat(32)

/** A folder with files, their paths and texts given. */
async function tree(files: Readonly<Record<string, string>>): Promise<TemporaryFolder> {
  const folder = await TemporaryFolder.create('cgroup')
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder.path, path)), { recursive: true })
    await writeFile(join(folder.path, path), text)
  }
  return folder
}

/** Files of one container in a pure version 2 tree, as Documentation/admin-guide/cgroup-v2.rst describes them. */
function version2(path: string): Record<string, string> {
  const files = {
    'cpu.stat':
      'usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 30000\n',
    'memory.current': '8192\n',
    'memory.max': 'max\n',
    'memory.stat': 'anon 4096\nfile 2048\ninactive_file 1024\npgfault 7\npgmajfault 1\n',
    'memory.events': 'low 0\nhigh 0\nmax 2\noom 1\noom_kill 1\n',
    'io.stat': '8:0 rbytes=4096 wbytes=512 rios=3 wios=1 dbytes=0 dios=0\n',
    'memory.pressure':
      'some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n',
    'pids.max': 'max\n',
  }
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`${path}/${name}`, text]))
}

/** The same container in version 1 hierarchies. */
function version1(path: string): Record<string, string> {
  return {
    [`cpu,cpuacct${path}/cpuacct.usage`]: '2500000000\n',
    [`cpu,cpuacct${path}/cpuacct.stat`]: 'user 200\nsystem 50\n',
    [`cpu,cpuacct${path}/cpu.stat`]: 'nr_periods 10\nnr_throttled 4\nthrottled_time 30000000\n',
    [`memory${path}/memory.usage_in_bytes`]: '8192\n',
    [`memory${path}/memory.limit_in_bytes`]: '9223372036854771712\n',
    [`memory${path}/memory.stat`]: 'total_rss 4096\ntotal_cache 2048\ntotal_inactive_file 1024\npgfault 7\n',
    [`memory${path}/memory.oom_control`]: 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    [`blkio${path}/blkio.throttle.io_service_bytes_recursive`]: '8:0 Read 4096\n8:0 Write 512\nTotal 4608\n',
    ...Object.fromEntries(['cpu,cpuacct', 'memory', 'blkio'].map((name) => [`${name}/cgroup.procs`, ''])),
  }
}

function figures(cgroupfs: Cgroupfs, text: string): Record<string, number> {
  const cgroups = cgroupfs.resolve(parseCgroups(text), id)
  const samples = resourceUsage(cgroupfs.files(cgroups), (device) => device)
  return Object.fromEntries(samples.map(({ name, value }) => [name, value]))
}

const usage = {
  ...{ cpu_usage_seconds_total: 2.5, cpu_user_seconds_total: 2, cpu_system_seconds_total: 0.5 },
  ...{ cpu_cfs_throttled_periods_total: 4, cpu_cfs_throttled_seconds_total: 0.03 },
  ...{ memory_usage_bytes: 8192, memory_working_set_bytes: 7168, memory_rss: 4096, memory_cache: 2048 },
  ...{ oom_events_total: 1, fs_reads_bytes_total: 4096, fs_writes_bytes_total: 512 },
}

describe('a container in', () => {
  it('a pure version 2 tree, by its path', async () => {
    const path = `/kubepods.slice/kubepods-pod1.slice/cri-containerd-${id}.scope`
    await using folder = await tree({ 'cgroup.controllers': 'cpu memory io\n', ...version2(path.slice(1)) })
    const cgroupfs = new Cgroupfs(folder.path)
    const found = figures(cgroupfs, `0::${path}\n`)
    expect(found).toMatchObject({
      ...usage,
      pressure_memory_waiting_seconds_total: 1.5,
      spec_memory_limit_bytes: 0,
    })
    expect(cgroupfs.idOf(parseCgroups(`0::${path}\n`))).toBeGreaterThan(0)
  })

  it('version 1 hierarchies, by its path in each', async () => {
    const path = `/kubepods/burstable/pod1/${id}`
    await using folder = await tree(version1(path))
    const text = `3:memory:${path}\n2:cpu,cpuacct:${path}\n4:blkio:${path}\n1:name=systemd:/other\n`
    const found = figures(new Cgroupfs(folder.path), text)
    expect(found).toMatchObject({ ...usage, spec_memory_limit_bytes: 0 })
    expect(new Cgroupfs(folder.path).idOf(parseCgroups(text))).toBe(0)
  })

  it.each([
    [
      'systemd’s slices',
      `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/crio-${id}.scope`,
    ],
    ['cgroupfs’ folders', `kubepods/besteffort/pod1/${id}`],
    [
      'a node that is a container itself',
      `docker/${'cd'.repeat(32)}/kubelet.slice/kubelet-kubepods.slice/x.slice/cri-containerd-${id}.scope`,
    ],
  ])(
    'a tree that we see from a cgroup namespace of our own, where paths begin with /..: %s',
    async (_, path) => {
      await using folder = await tree({
        'cgroup.controllers': 'cpu memory io\n',
        // CRI-O's monitor of the container has its id in its name as well.
        [`kubepods.slice/crio-conmon-${id}.scope/cpu.stat`]: 'usage_usec 1\n',
        ...version2(path),
      })
      const cgroupfs = new Cgroupfs(folder.path)
      expect(figures(cgroupfs, `0::/../../pod1/${id}\n`)).toMatchObject(usage)
      expect(cgroupName(cgroupfs.resolve(parseCgroups(`0::/../${id}\n`), id))).toBe(`/${path}`)
    },
  )

  it('no tree that can be found: nothing is told, and it is not searched for again at every look', async () => {
    await using folder = await tree({ 'cgroup.controllers': '' })
    const cgroupfs = new Cgroupfs(folder.path)
    expect(figures(cgroupfs, '0::/../x\n')).toEqual({})
    const path = `kubepods/pod1/${id}`
    await mkdir(join(folder.path, path), { recursive: true })
    await writeFile(join(folder.path, path, 'memory.current'), '1\n')
    expect(figures(cgroupfs, '0::/../x\n')).toEqual({})
    expect(figures(new Cgroupfs(folder.path), '0::/../x\n')).toMatchObject({ memory_usage_bytes: 1 })
  })
})
