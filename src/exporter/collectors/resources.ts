import { Family, renderLabels, type MetricType } from '../../common/exposition.ts'
import { errorCode } from '../../common/errors.ts'
import type { Cgroupfs } from '../cgroupfs.ts'
import type { Collector } from '../collector.ts'
import type { LabelMaker } from '../core/labels.ts'
import { resourceUsage } from '../core/resource-usage.ts'
import { eachInSlices } from '../slices.ts'
import type { Procfs } from '../procfs.ts'

/** cAdvisor's types and help, by what is behind `container_`. */
const families: Readonly<Record<string, readonly [type: MetricType, help: string]>> = {
  cpu_usage_seconds_total: ['counter', 'Cumulative cpu time consumed in seconds.'],
  cpu_user_seconds_total: ['counter', 'Cumulative user cpu time consumed in seconds.'],
  cpu_system_seconds_total: ['counter', 'Cumulative system cpu time consumed in seconds.'],
  cpu_cfs_periods_total: ['counter', 'Number of elapsed enforcement period intervals.'],
  cpu_cfs_throttled_periods_total: ['counter', 'Number of throttled period intervals.'],
  cpu_cfs_throttled_seconds_total: ['counter', 'Total time duration the container has been throttled.'],
  memory_usage_bytes: [
    'gauge',
    'Current memory usage in bytes, including all memory regardless of when it was accessed',
  ],
  memory_working_set_bytes: ['gauge', 'Current working set in bytes.'],
  memory_rss: ['gauge', 'Size of RSS in bytes.'],
  memory_cache: ['gauge', 'Number of bytes of page cache memory.'],
  memory_mapped_file: ['gauge', 'Size of memory mapped files in bytes.'],
  memory_swap: ['gauge', 'Container swap usage in bytes.'],
  memory_failcnt: ['counter', 'Number of memory usage hits limits'],
  memory_max_usage_bytes: ['gauge', 'Maximum memory usage recorded in bytes'],
  memory_failures_total: ['counter', 'Cumulative count of memory allocation failures.'],
  oom_events_total: ['counter', 'Count of out of memory events observed for the container'],
  spec_memory_limit_bytes: ['gauge', 'Memory limit for the container.'],
  fs_reads_bytes_total: ['counter', 'Cumulative count of bytes read'],
  fs_writes_bytes_total: ['counter', 'Cumulative count of bytes written'],
  fs_reads_total: ['counter', 'Cumulative count of reads completed'],
  fs_writes_total: ['counter', 'Cumulative count of writes completed'],
  ...pressureFamilies('cpu', 'CPU'),
  ...pressureFamilies('memory', 'memory'),
  ...pressureFamilies('io', 'IO'),
}

function pressureFamilies(name: string, what: string): Record<string, readonly [MetricType, string]> {
  return {
    [`pressure_${name}_waiting_seconds_total`]: [
      'counter',
      `Total time duration tasks in the container have waited due to ${what} congestion.`,
    ],
    [`pressure_${name}_stalled_seconds_total`]: [
      'counter',
      `Total time duration no tasks in the container could make progress due to ${what} congestion.`,
    ],
  }
}

export interface ResourcesOptions {
  readonly procfs: Procfs
  readonly cgroupfs: Cgroupfs
  readonly labels: LabelMaker
  /** Told the error code of each container that could not be read. */
  readonly onSkipped: (reason: string) => void
}

/** cAdvisor's CPU, memory, I/O and pressure families from cgroup v1 and v2. */
export function resourcesCollector({ procfs, cgroupfs, labels, onSkipped }: ResourcesOptions): Collector {
  return {
    name: 'resources',
    async collect({ containers }, signal) {
      const made = new Map(
        Object.entries(families).map(([name, [type, help]]) => [
          name,
          new Family(`container_${name}`, type, help),
        ]),
      )
      const devices = procfs.blockDevices()
      const deviceName = (device: string): string => {
        const name = devices.get(device)
        return name === undefined ? device : `/dev/${name}`
      }
      await eachInSlices(containers, signal, (container) => {
        try {
          const own = labels.container(container)
          for (const { name, labels: more, value } of resourceUsage(
            cgroupfs.files(container.cgroups),
            deviceName,
          ))
            made.get(name)?.add(own, value, renderLabels(more))
        } catch (error) {
          onSkipped(errorCode(error) ?? 'error')
        }
      })
      return [...made.values()]
    },
  }
}
