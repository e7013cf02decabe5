/** CPU, memory, I/O and pressure of a container from its cgroup files, version 1 or 2. What a kernel does not tell is absent. */
import {
  parseBlkio,
  parseFlat,
  parseIoStat,
  parsePressure,
  parseSingle,
  type Pressure,
} from './parse-cgroup-files.ts'

/** Texts of a container's cgroup files; undefined: there is none. */
export interface CgroupFiles {
  /** Of the hierarchy that has this controller: `version1('memory', 'memory.usage_in_bytes')`. */
  version1(controller: string, file: string): string | undefined
  version2(file: string): string | undefined
}

/** A sample of one of the families in collectors/resources.ts: the part of its name behind `container_`. */
export interface ResourceSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Clock ticks a second in which the kernel tells user and system time (USER_HZ, the same on every architecture we run on). */
const ticksPerSecond = 100
/** Version 1 writes the largest number of pages where there is no limit. */
const noLimit = 2 ** 62

/**
 * @param deviceName name of a block device by `major:minor`
 * @throws PodsonarError `malformed_cgroup_file`
 */
export function resourceUsage(files: CgroupFiles, deviceName: (device: string) => string): ResourceSample[] {
  return [...cpu(files), ...memory(files), ...io(files, deviceName), ...pressure(files)]
}

function cpu(files: CgroupFiles): ResourceSample[] {
  const usage = files.version1('cpuacct', 'cpuacct.usage')
  const stat = files.version1('cpuacct', 'cpuacct.stat')
  const one = usage !== undefined
  const quota = flat(one ? files.version1('cpu', 'cpu.stat') : files.version2('cpu.stat'))
  const times = one ? flat(stat) : quota
  return samples([
    [
      'cpu_usage_seconds_total',
      scaled(one ? parseSingle(usage) : times.get('usage_usec'), one ? 1e9 : 1e6),
      'total',
    ],
    [
      'cpu_user_seconds_total',
      one ? scaled(times.get('user'), ticksPerSecond) : scaled(times.get('user_usec'), 1e6),
    ],
    [
      'cpu_system_seconds_total',
      one ? scaled(times.get('system'), ticksPerSecond) : scaled(times.get('system_usec'), 1e6),
    ],
    ['cpu_cfs_periods_total', quota.get('nr_periods')],
    ['cpu_cfs_throttled_periods_total', quota.get('nr_throttled')],
    [
      'cpu_cfs_throttled_seconds_total',
      one ? scaled(quota.get('throttled_time'), 1e9) : scaled(quota.get('throttled_usec'), 1e6),
    ],
  ])
}

function memory(files: CgroupFiles): ResourceSample[] {
  const usage1 = files.version1('memory', 'memory.usage_in_bytes')
  const one = usage1 !== undefined
  const usage = one ? parseSingle(usage1) : single(files.version2('memory.current'))
  if (usage === undefined) return []
  const stat = flat(one ? files.version1('memory', 'memory.stat') : files.version2('memory.stat'))
  const inactive = stat.get(one ? 'total_inactive_file' : 'inactive_file') ?? 0
  const limit = one
    ? single(files.version1('memory', 'memory.limit_in_bytes'))
    : single(files.version2('memory.max'))
  const kills = flat(one ? files.version1('memory', 'memory.oom_control') : files.version2('memory.events'))
  const faults = (['pgfault', 'pgmajfault'] as const).flatMap((type) =>
    // cAdvisor's scopes: the container alone, and with the groups below it; version 2 only knows the latter.
    [
      ['container', stat.get(type)] as const,
      ['hierarchy', one ? stat.get(`total_${type}`) : stat.get(type)] as const,
    ].flatMap(([scope, value]) =>
      value === undefined
        ? []
        : [{ name: 'memory_failures_total', labels: { failure_type: type, scope }, value }],
    ),
  )
  return [
    ...samples([
      ['memory_usage_bytes', usage],
      ['memory_working_set_bytes', Math.max(0, usage - inactive)],
      ['memory_rss', stat.get(one ? 'total_rss' : 'anon')],
      ['memory_cache', stat.get(one ? 'total_cache' : 'file')],
      ['memory_mapped_file', stat.get(one ? 'total_mapped_file' : 'file_mapped')],
      ['memory_swap', one ? stat.get('total_swap') : single(files.version2('memory.swap.current'))],
      ['memory_failcnt', one ? single(files.version1('memory', 'memory.failcnt')) : undefined],
      [
        'memory_max_usage_bytes',
        one
          ? single(files.version1('memory', 'memory.max_usage_in_bytes'))
          : single(files.version2('memory.peak')),
      ],
      ['oom_events_total', kills.get('oom_kill')],
      ['spec_memory_limit_bytes', limit === undefined ? undefined : limit >= noLimit ? 0 : limit],
    ]),
    ...faults,
  ]
}

function io(files: CgroupFiles, deviceName: (device: string) => string): ResourceSample[] {
  const bytes1 = files.version1('blkio', 'blkio.throttle.io_service_bytes_recursive')
  const counts1 = files.version1('blkio', 'blkio.throttle.io_serviced_recursive')
  const stat2 = bytes1 === undefined ? files.version2('io.stat') : undefined
  const bytes = bytes1 === undefined ? undefined : parseBlkio(bytes1)
  const counts = counts1 === undefined ? undefined : parseBlkio(counts1)
  const both = stat2 === undefined ? undefined : parseIoStat(stat2)
  const wanted = [
    ['fs_reads_bytes_total', bytes, 'Read', 'rbytes'],
    ['fs_writes_bytes_total', bytes, 'Write', 'wbytes'],
    ['fs_reads_total', counts, 'Read', 'rios'],
    ['fs_writes_total', counts, 'Write', 'wios'],
  ] as const
  return wanted.flatMap(([name, version1, key1, key2]) =>
    [...(version1 ?? both ?? new Map<string, Record<string, number>>())].flatMap(([device, figures]) => {
      const value = figures[version1 === undefined ? key2 : key1]
      return value === undefined ? [] : [{ name, labels: { device: deviceName(device) }, value }]
    }),
  )
}

function pressure(files: CgroupFiles): ResourceSample[] {
  return (['cpu', 'memory', 'io'] as const).flatMap((resource) => {
    const text = files.version2(`${resource}.pressure`)
    if (text === undefined) return []
    const { waiting, stalled }: Pressure = parsePressure(text)
    return samples([
      [`pressure_${resource}_waiting_seconds_total`, scaled(waiting, 1e6)],
      [`pressure_${resource}_stalled_seconds_total`, scaled(stalled, 1e6)],
    ])
  })
}

function samples(
  figures: readonly (readonly [name: string, value: number | undefined, cpu?: string])[],
): ResourceSample[] {
  return figures.flatMap(([name, value, of]) =>
    value === undefined ? [] : [{ name, labels: of === undefined ? {} : { cpu: of }, value }],
  )
}

function flat(text: string | undefined): ReadonlyMap<string, number> {
  return text === undefined ? new Map<string, number>() : parseFlat(text)
}

function single(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseSingle(text)
}

function scaled(value: number | undefined, by: number): number | undefined {
  return value === undefined ? undefined : value / by
}
