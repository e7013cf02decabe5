/** The runtime's own words in the `info` of a verbose CRI answer. */

/**
 * The process id in ContainerStatus: `info.info` is JSON with `pid` for containerd, CRI-O and cri-dockerd; before
 * containerd 1.6 and CRI-O 1.18 `info.pid` was the bare number.
 *
 * @returns undefined when there is none, 0 for a container that has not started
 */
export function pidOf(info: Readonly<Record<string, string>>): number | undefined {
  const { info: json, pid } = info
  if (json !== undefined) {
    let parsed: unknown
    try {
      parsed = JSON.parse(json)
    } catch {
      return undefined
    }
    return typeof parsed === 'object' && parsed !== null && 'pid' in parsed ? toPid(parsed.pid) : undefined
  }
  return pid !== undefined && /^\d+$/.test(pid) ? toPid(Number(pid)) : undefined
}

/** Linux allows process ids up to 2^22. */
function toPid(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 2 ** 22
    ? value
    : undefined
}
