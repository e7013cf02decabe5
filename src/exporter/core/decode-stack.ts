/**
 * What the eBPF program stack.bpf.c keeps in its maps: the structures of src/exporter/bpf/stack.h, which asserts the same
 * sizes and offsets. In the machine's byte order, which is little-endian wherever podsonar runs.
 */

/** The stages of a packet's way, in the order of `enum stack_stage`. */
export const stackStages = [
  { direction: 'receive', stage: 'queue' },
  { direction: 'receive', stage: 'ip' },
  { direction: 'receive', stage: 'backlog' },
  { direction: 'receive', stage: 'tcp' },
  { direction: 'receive', stage: 'udp' },
  { direction: 'receive', stage: 'application' },
  { direction: 'receive', stage: 'total' },
  { direction: 'send', stage: 'buffer' },
  { direction: 'send', stage: 'ip' },
  { direction: 'send', stage: 'queue' },
] as const

const buckets = 22
/** Upper bounds of the buckets in seconds, a power of two of nanoseconds each; one more bucket takes the rest. */
export const stackBounds: readonly number[] = Array.from(
  { length: buckets - 1 },
  (_, index) => 2 ** (10 + index) / 1e9,
)

/** Bytes of `struct stack_times`, of one processor. */
export const stackTimesSize = 1840
/** Bytes of `struct stack_interface_key` and `struct stack_interface`, of one processor. */
export const stackInterfaceKeySize = 8
export const stackInterfaceSize = 48
/** Bytes of `struct stack_drop_key`. */
export const stackDropKeySize = 8
const filterSize = 512
const nameAt = 32
const nameSize = 16

/** One stage's times in one network namespace. */
export interface StageTimes {
  readonly sumSeconds: number
  /** Packets in each bucket alone: one more than {@link stackBounds}. */
  readonly buckets: Float64Array
}

/** What went through one interface. */
export interface InterfaceTraffic {
  readonly namespace: number
  readonly name: string
  readonly receiveBytes: number
  readonly receivePackets: number
  readonly transmitBytes: number
  readonly transmitPackets: number
}

/** Packets of a network namespace that were dropped for one reason. */
export interface DroppedPackets {
  readonly namespace: number
  /** Value of `enum skb_drop_reason`. */
  readonly reason: number
  readonly packets: number
}

/** What `struct stack_filter` has to be for these network namespaces. */
export function encodeStackFilter(namespaces: Iterable<number>): Uint8Array {
  const bytes = new Uint8Array(filterSize)
  for (const inode of namespaces) {
    const bit = inode % (filterSize * 8)
    bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) | (1 << (bit & 7))
  }
  return bytes
}

/** @param values one `struct stack_times` of each processor; the stages come in the order of {@link stackStages} */
export function decodeStackTimes(values: Uint8Array): StageTimes[] {
  const word = sumOf(values, stackTimesSize)
  return stackStages.map((_stage, stage) => ({
    sumSeconds: word(stage) / 1e9,
    buckets: Float64Array.from({ length: buckets }, (_bucket, bucket) =>
      word(stackStages.length + stage * buckets + bucket),
    ),
  }))
}

/**
 * @param key a `struct stack_interface_key`
 * @param values one `struct stack_interface` of each processor
 */
export function decodeStackInterface(key: Uint8Array, values: Uint8Array): InterfaceTraffic {
  const word = sumOf(values, stackInterfaceSize)
  let name = ''
  for (let at = nameAt; at < values.length && name === ''; at += stackInterfaceSize)
    name = Buffer.from(values.subarray(at, at + nameSize))
      .toString('latin1')
      .replace(/\0.*$/s, '')
  return {
    namespace: wordOf(key, 0),
    name: name === '' ? `if${wordOf(key, 4)}` : name,
    ...{ receiveBytes: word(0), receivePackets: word(1), transmitBytes: word(2), transmitPackets: word(3) },
  }
}

/** @param key a `struct stack_drop_key` */
export function decodeStackDrop(key: Uint8Array, value: Uint8Array): DroppedPackets {
  return { namespace: wordOf(key, 0), reason: wordOf(key, 4), packets: sumOf(value, value.length)(0) }
}

/** Inode of the network namespace that a key begins with. */
export function namespaceOfKey(key: Uint8Array): number {
  return wordOf(key, 0)
}

function wordOf(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true)
}

/** Gives words of eight bytes of a structure, each summed over all processors. */
function sumOf(values: Uint8Array, size: number): (word: number) => number {
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength)
  return (word) => {
    let sum = 0
    for (let at = word * 8; at < values.length; at += size) sum += Number(view.getBigUint64(at, true))
    return sum
  }
}
