/** A real Prometheus with consul_sd, on a free port of the loopback address. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unpackDebian } from './debian.ts'
import { TemporaryFolder } from './files.ts'
import { freePorts } from './ports.ts'
import { Process } from './process.ts'
import { waitFor } from './wait.ts'

/** The path of the prometheus program: 2.24 from Debian bullseye, since newer Debian builds leave consul_sd out. */
async function prometheusProgram(): Promise<string> {
  return join(await unpackDebian('bullseye', ['prometheus']), 'usr/bin/prometheus')
}

/** An active target of /api/v1/targets. */
export interface Target {
  readonly labels: Readonly<Record<string, string>>
  readonly discoveredLabels: Readonly<Record<string, string>>
  readonly scrapeUrl: string
  readonly scrapePool: string
  readonly health: 'up' | 'down' | 'unknown'
  readonly lastError: string
  readonly lastScrape: string
}

/** One series of an instant query. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

export class Prometheus implements AsyncDisposable {
  readonly url: string
  readonly #process: Process
  readonly #folder: TemporaryFolder

  private constructor(url: string, started: Process, folder: TemporaryFolder) {
    this.url = url
    this.#process = started
    this.#folder = folder
  }

  /** @param config the text of prometheus.yml */
  static async start(config: string): Promise<Prometheus> {
    const folder = await TemporaryFolder.create('prometheus')
    const file = join(folder.path, 'prometheus.yml')
    await writeFile(file, config)
    const [port = 0] = await freePorts(1)
    const started = await Process.start('prometheus', await prometheusProgram(), [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder.path, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ])
    const prometheus = new Prometheus(`http://127.0.0.1:${port}`, started, folder)
    await waitFor('Prometheus to be ready', async () => {
      if (!started.running) throw new Error(`prometheus ended: ${started.stderr.slice(-1_000)}`)
      return (await fetch(`${prometheus.url}/-/ready`)).ok
    })
    return prometheus
  }

  get pid(): number {
    return this.#process.pid
  }

  async targets(): Promise<Target[]> {
    const answer = await fetch(`${this.url}/api/v1/targets?state=active`)
    return ((await answer.json()) as { data: { activeTargets: Target[] } }).data.activeTargets
  }

  /** An instant query. */
  async query(promql: string): Promise<Sample[]> {
    const answer = await fetch(`${this.url}/api/v1/query?query=${encodeURIComponent(promql)}`)
    const { status, error, data } = (await answer.json()) as {
      status: string
      error?: string
      data?: { result: Sample[] }
    }
    if (status !== 'success' || data === undefined)
      throw new Error(`Cannot query ${promql}: ${error ?? status}`)
    return data.result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }
}
