import { describe, expect, it } from 'vitest'
import {
  parseBlkio,
  parseFlat,
  parseIoStat,
  parsePressure,
  parseSingle,
} from '../../../../src/exporter/core/parse-cgroup-files.ts'
import { parseMounts } from '../../../../src/exporter/core/parse-mountinfo.ts'
import { parseNetDev } from '../../../../src/exporter/core/parse-net-dev.ts'
import { parseThreads } from '../../../../src/exporter/core/parse-process.ts'
import { resourceUsage, type CgroupFiles } from '../../../../src/exporter/core/resource-usage.ts'
import { tcpStatistics } from '../../../../src/exporter/core/tcp-statistics.ts'

describe('net/dev', () => {
  const header =
    'Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n'
  const eth0 = '  eth0: 305856 12 1 2 0 0 0 0 7760 13 3 4 0 0 0 0\n'

  it('gives both directions of each interface', () => {
    expect(
      parseNetDev(
        `${header}    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n${eth0}`,
      )[1],
    ).toEqual({
      name: 'eth0',
      received: { bytes: 305_856, packets: 12, errors: 1, dropped: 2 },
      transmitted: { bytes: 7_760, packets: 13, errors: 3, dropped: 4 },
    })
  })

  it.each([
    ['no header', eth0],
    ['a cut line', (header + eth0).slice(0, -10)],
    ['too few numbers', `${header}eth0: 1 2 3\n`],
    ['letters', header + eth0.replace('305856', '30x')],
    ['nothing', ''],
  ])('refuses %s', (_, text) => {
    expect(() => parseNetDev(text)).toThrow(/proc\(5\)/)
  })
})

describe('mountinfo', () => {
  const line = (point: string, fstype: string, device = 'x', filesystem = '0:1') =>
    `36 35 ${filesystem} / ${point} rw,noatime shared:1 - ${fstype} ${device} rw\n`

  it('gives what has space of its own', () => {
    const text = [
      line('/', 'overlay', 'overlay', '0:50'),
      line('/proc', 'proc'),
      line('/proc/acpi', 'tmpfs'),
      line('/dev', 'tmpfs'),
      line('/dev/shm', 'tmpfs', 'shm'),
      line('/etc/hosts', 'ext4', '/dev/vda1'),
      line('/data\\040set', 'ext4', '/dev/vda1', '8:1'),
      line('/sys/fs/cgroup', 'cgroup2'),
      line('/auto', 'autofs'),
    ].join('')
    expect(parseMounts(text)).toEqual([
      { mountpoint: '/', device: 'overlay', fstype: 'overlay', filesystem: '0:50', mayHang: false },
      { mountpoint: '/dev/shm', device: 'shm', fstype: 'tmpfs', filesystem: '0:1', mayHang: false },
      { mountpoint: '/data set', device: '/dev/vda1', fstype: 'ext4', filesystem: '8:1', mayHang: false },
    ])
  })

  it('knows what may hang, below another one that may too', () => {
    const text = line('/nfs', 'nfs4', 'server:/a') + line('/nfs/local', 'ext4') + line('/nfsx', 'ext4')
    expect(parseMounts(text).map(({ mountpoint, mayHang }) => [mountpoint, mayHang])).toEqual([
      ['/nfs', true],
      ['/nfs/local', true],
      ['/nfsx', false],
    ])
  })

  it('shows only what was mounted last on a point', () => {
    expect(parseMounts(line('/a', 'ext4') + line('/a', 'xfs')).map(({ fstype }) => fstype)).toEqual(['xfs'])
  })

  it.each(['', '36 35 98:0 /mnt1 /mnt2 rw', line('/a', 'ext4').slice(0, -1), 'a b c d e f - g h i\n'])(
    'refuses %j',
    (text) => {
      expect(() => parseMounts(text)).toThrow(/proc\(5\)/)
    },
  )
})

describe('cgroup files', () => {
  it('are single numbers, keys, devices and pressures', () => {
    expect(parseSingle('4096\n')).toBe(4096)
    expect(parseSingle('max\n')).toBe(Number.POSITIVE_INFINITY)
    expect(parseFlat('nr_periods 1\nnr_throttled 2\n').get('nr_throttled')).toBe(2)
    expect(
      parseIoStat('8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 \n').get('8:0'),
    ).toMatchObject({
      ...{ rbytes: 1, wios: 4 },
    })
    expect(parseBlkio('8:0 Read 5\n8:0 Write 6\nTotal 11\n').get('8:0')).toEqual({ Read: 5, Write: 6 })
    expect(parsePressure('some avg10=0.00 avg60=1.50 avg300=79.39 total=17\n')).toEqual({
      ...{ waiting: 17, stalled: undefined },
    })
  })

  it.each([
    [parseSingle, '4096'],
    [parseSingle, '-1\n'],
    [parseSingle, ''],
    [parseFlat, 'a 1\nb'],
    [parseFlat, 'a one\n'],
    [parseIoStat, '8:0 rbytes=1 wby'],
    [parseIoStat, 'sda rbytes=1\n'],
    [parseBlkio, '8:0 Read\n'],
    [parsePressure, 'full avg10=0.00 avg60=1.50 avg300=79.39 total=17\n'],
    [parsePressure, 'some avg10=0.00 total=17\n'],
  ] as const)('%o refuses %j', (parse, text) => {
    expect(() => parse(text)).toThrow(/expected/)
  })
})

describe('resource usage', () => {
  const named = (files: Partial<Record<string, string>>, version: 1 | 2) => {
    const source: CgroupFiles = {
      version1: (_, file) => (version === 1 ? files[file] : undefined),
      version2: (file) => (version === 2 ? files[file] : undefined),
    }
    return Object.fromEntries(
      resourceUsage(source, (device) => `/dev/${device}`).map(({ name, labels, value }) => [
        [name, ...Object.values(labels)].join(' '),
        value,
      ]),
    )
  }

  it('of cgroup v2', () => {
    expect(
      named(
        {
          'cpu.stat':
            'usage_usec 2500000\nuser_usec 1000000\nsystem_usec 1500000\nnr_periods 4\nnr_throttled 1\nthrottled_usec 500000\n',
          'memory.current': '1000\n',
          'memory.stat': 'anon 300\nfile 500\nfile_mapped 60\ninactive_file 200\npgfault 7\npgmajfault 1\n',
          'memory.max': 'max\n',
          'memory.swap.current': '0\n',
          'memory.events': 'low 0\noom 1\noom_kill 3\n',
          'io.stat': '8:0 rbytes=1 wbytes=2 rios=3 wios=4\n',
          'io.pressure':
            'some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n',
        },
        2,
      ),
    ).toEqual({
      'cpu_usage_seconds_total total': 2.5,
      cpu_user_seconds_total: 1,
      cpu_system_seconds_total: 1.5,
      cpu_cfs_periods_total: 4,
      cpu_cfs_throttled_periods_total: 1,
      cpu_cfs_throttled_seconds_total: 0.5,
      memory_usage_bytes: 1000,
      memory_working_set_bytes: 800,
      memory_rss: 300,
      memory_cache: 500,
      memory_mapped_file: 60,
      memory_swap: 0,
      oom_events_total: 3,
      spec_memory_limit_bytes: 0,
      'memory_failures_total pgfault container': 7,
      'memory_failures_total pgfault hierarchy': 7,
      'memory_failures_total pgmajfault container': 1,
      'memory_failures_total pgmajfault hierarchy': 1,
      'fs_reads_bytes_total /dev/8:0': 1,
      'fs_writes_bytes_total /dev/8:0': 2,
      'fs_reads_total /dev/8:0': 3,
      'fs_writes_total /dev/8:0': 4,
      pressure_io_waiting_seconds_total: 1,
      pressure_io_stalled_seconds_total: 0.5,
    })
  })

  it('of cgroup v1', () => {
    expect(
      named(
        {
          'cpuacct.usage': '2500000000\n',
          'cpuacct.stat': 'user 100\nsystem 150\n',
          'memory.usage_in_bytes': '1000\n',
          'memory.stat': 'cache 1\nrss 2\ntotal_cache 500\ntotal_rss 300\ntotal_inactive_file 1200\n',
          'memory.limit_in_bytes': '9223372036854771712\n',
          'memory.failcnt': '9\n',
          'blkio.throttle.io_serviced_recursive': '8:0 Read 5\n8:0 Write 6\nTotal 11\n',
        },
        1,
      ),
    ).toEqual({
      'cpu_usage_seconds_total total': 2.5,
      cpu_user_seconds_total: 1,
      cpu_system_seconds_total: 1.5,
      memory_usage_bytes: 1000,
      memory_working_set_bytes: 0,
      memory_rss: 300,
      memory_cache: 500,
      memory_failcnt: 9,
      spec_memory_limit_bytes: 0,
      'fs_reads_total /dev/8:0': 5,
      'fs_writes_total /dev/8:0': 6,
    })
  })

  it('is empty where there is no cgroup', () => {
    expect(named({}, 2)).toEqual({})
  })
})

it('gives the TCP counters that the kernel has, by the names of cAdvisor', () => {
  const snmp = 'Tcp: RtoAlgorithm MaxConn CurrEstab\nTcp: 1 -1 12\n'
  const netstat = 'TcpExt: SyncookiesSent TCPNewer PAWSEstab\nTcpExt: 3 4 5\nIpExt: InOctets\nIpExt: 6\n'
  expect(tcpStatistics(snmp, netstat)).toEqual([
    { label: 'rtoalgorithm', value: 1 },
    { label: 'maxconn', value: -1 },
    { label: 'currestab', value: 12 },
    { label: 'syncookiessent', value: 3 },
    { label: 'pawsestab', value: 5 },
  ])
})

it('reads the number of threads', () => {
  expect(
    parseThreads('100 (a b) S 1 100 100 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 1000 200 18 1 1'),
  ).toBe(9)
})
