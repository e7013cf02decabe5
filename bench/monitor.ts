/**
 * What the summary of `podsonar monitor all` costs: processor time of the whole program while it refreshes each second, on
 * terminals of two widths, of a pod that does nothing, and of one that is asked 100 times a second, each time on a connection
 * of its own. Needs root; takes about two minutes.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { Containerd, type LabPod } from '../lab/containerd.ts'
import { libbpfFile, missingFor, prepare } from '../lab/needs.ts'
import { Process } from '../lab/process.ts'
import { processUsage } from '../lab/process-usage.ts'
import { entry } from '../lab/program.ts'
import { waitFor } from '../lab/wait.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'

const widths = [80, 200]
const windows = 3
const windowMs = 7_000
const requestsPerSecond = 100
/** Until then code is compiled, and lists grow. */
const warmUpMs = 5_000

export async function monitor(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['containerd', 'libbpf', 'bpf']))
  const root = missingFor('root')
  if (missing.length > 0 || root !== undefined) throw new Error([root, ...missing].join('; '))
  await using containerd = await Containerd.start()
  const pod = await containerd.runPod({
    ...{ name: 'web-0', namespace: 'shop' },
    containers: [{ name: 'web', command: ['httpd', '-f', '-p', '8080', '-h', '/bin'] }],
  })
  await waitFor('the server to answer', () => ask(pod, 0).then(() => true))
  const rows: BenchRow[] = []
  const busy: number[] = []
  for (const width of widths)
    for (const rate of [0, requestsPerSecond]) {
      const { percent, refreshes, asked } = await measure(containerd, pod, width, rate)
      if (rate > 0) busy.push(percent)
      const subject = `${width} columns, ${rate} requests/s`
      rows.push(
        { what: 'processor, of a core', subject, value: percent, unit: 'percent' },
        { what: 'refreshes a second', subject, value: refreshes, unit: 'count' },
        { what: 'requests a second', subject, value: asked, unit: 'count' },
      )
    }
  return { rows, ratios: { summaryCorePercent: Math.max(...busy) } }
}

interface Measured {
  /** Median of the windows. */
  readonly percent: number
  readonly refreshes: number
  readonly asked: number
}

async function measure(containerd: Containerd, pod: LabPod, width: number, rate: number): Promise<Measured> {
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), TERM: 'xterm' }
  const command = `stty cols ${width} rows 60; exec ${entry} monitor all --namespace shop --pod web-0`
  await using terminal = await Process.start('terminal', 'script', ['-qec', command, '/dev/null'], { env })
  await waitFor('the summary', () => terminal.stdout.includes('network stack'))
  const pid = Number(readFileSync(`/proc/${terminal.pid}/task/${terminal.pid}/children`, 'utf8').trim())
  await using load = new Load(pod, rate)
  await delay(warmUpMs)
  const [shownBefore, askedBefore, began] = [screensIn(terminal), load.done, performance.now()]
  const percents: number[] = []
  for (let window = 0; window < windows; window += 1) {
    const [before, from] = [processUsage(pid).cpuMs, performance.now()]
    await delay(windowMs)
    percents.push(((processUsage(pid).cpuMs - before) / (performance.now() - from)) * 100)
  }
  const seconds = (performance.now() - began) / 1_000
  const shown = screensIn(terminal) - shownBefore
  return {
    percent: median(percents),
    refreshes: shown / seconds,
    asked: (load.done - askedBefore) / seconds,
  }
}

function screensIn({ stdout }: Process): number {
  return stdout.split('\nnetwork stack').length
}

async function ask({ ip }: LabPod, number: number): Promise<void> {
  const response = await fetch(`http://${ip}:8080/items/${number}`, { headers: { connection: 'close' } })
  await response.text()
}

/** Asks the pod, some of the times in vain, until it is disposed of. */
class Load implements AsyncDisposable {
  done = 0
  readonly #underWay = new Set<Promise<void>>()
  readonly #timer: NodeJS.Timeout | undefined

  constructor(pod: LabPod, perSecond: number) {
    if (perSecond === 0) return
    this.#timer = setInterval(() => {
      const asking = ask(pod, this.done).then(() => {
        this.done += 1
        this.#underWay.delete(asking)
      })
      this.#underWay.add(asking)
    }, 1_000 / perSecond)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#underWay)
  }
}
