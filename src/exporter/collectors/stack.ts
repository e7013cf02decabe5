import { Family, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import { stackBounds, stackStages } from '../core/decode-stack.ts'
import type { LabelMaker } from '../core/labels.ts'
import { isChosen, type Choice } from '../core/requests/choose.ts'
import type { StackReading } from '../ebpf/stack-reader.ts'
import type { StackSource } from '../ebpf/stack-source.ts'

export interface StackCollectorOptions {
  readonly source: StackSource
  /** The pods whose packets are timed. */
  readonly choice: Choice
  readonly labels: LabelMaker
  /** Told of events that were not counted since the start. */
  readonly onReading: (lost: number) => void
}

/**
 * Where packets of chosen pods spend their time, what is dropped and why. A pod is watched from the first collection on
 * that sees it. What each metric answers: docs/stack.md.
 */
export function stackCollector({ source, choice, labels, onReading }: StackCollectorOptions): Collector {
  return {
    name: 'stack',
    async collect({ namespaces }, signal) {
      const owners = new Map<number, string>()
      const seen = new Set<string>()
      for (const { inode, pod } of namespaces) {
        if (pod === undefined || !isChosen(choice, pod)) continue
        const owner = labels.owner(pod, '')
        // One that was just replaced has two for a moment: the first stays.
        if (!seen.has(owner)) owners.set(inode, owner)
        seen.add(owner)
      }
      const reading = await source.read([...owners.keys()], signal)
      onReading(reading.lost)
      return stackFamilies(reading, owners)
    },
  }
}

/** @param owners rendered labels by network namespace */
export function stackFamilies(
  { times, interfaces, drops }: StackReading,
  owners: ReadonlyMap<number, string>,
): Family[] {
  const duration = new Family(
    'podsonar_stack_duration_seconds',
    'histogram',
    "Time of a pod's packets between two points of the network stack.",
  )
  for (const { namespace, stages } of times)
    for (const [index, { sumSeconds, buckets }] of stages.entries()) {
      const stage = stackStages[index]
      if (stage === undefined || buckets.every((value) => value === 0)) continue
      duration.addHistogram(
        `${owners.get(namespace) ?? ''},${renderLabels(stage)}`,
        stackBounds,
        buckets,
        sumSeconds,
      )
    }
  const dropped = new Family(
    'podsonar_stack_dropped_packets_total',
    'counter',
    "Packets of a pod that the network stack dropped, by the kernel's name for the reason.",
  )
  for (const { namespace, reason, packets } of drops)
    dropped.add(owners.get(namespace) ?? '', packets, renderLabels({ reason }))
  const traffic = (direction: string, unit: string): Family =>
    new Family(
      `podsonar_stack_${direction}_${unit}_total`,
      'counter',
      `What the network stack saw of an interface of a pod: ${unit}, ${direction === 'receive' ? 'received' : 'sent'}.`,
    )
  const families = {
    receiveBytes: traffic('receive', 'bytes'),
    receivePackets: traffic('receive', 'packets'),
    transmitBytes: traffic('transmit', 'bytes'),
    transmitPackets: traffic('transmit', 'packets'),
  }
  for (const { namespace, name, ...counts } of interfaces)
    for (const [field, family] of Object.entries(families))
      family.add(
        owners.get(namespace) ?? '',
        counts[field as keyof typeof families],
        renderLabels({ interface: name }),
      )
  return [duration, dropped, ...Object.values(families)]
}
