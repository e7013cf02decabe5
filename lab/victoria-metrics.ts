/** A real VictoriaMetrics with consul_sd, on a free port of the loopback address. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unpacked } from './needs.ts'
import { TemporaryFolder } from './files.ts'
import { freePorts } from './ports.ts'
import { Process } from './process.ts'
import type { Target } from './prometheus.ts'
import { waitFor } from './wait.ts'

export class VictoriaMetrics implements AsyncDisposable {
  readonly url: string
  readonly #process: Process
  readonly #folder: TemporaryFolder

  private constructor(url: string, started: Process, folder: TemporaryFolder) {
    this.url = url
    this.#process = started
    this.#folder = folder
  }

  /**
   * Starts one that scrapes, asking Consul every second. Unknown settings are an error, as is its default.
   *
   * @param config the text of a prometheus.yml without `refresh_interval`, which it does not know
   */
  static async start(config: string): Promise<VictoriaMetrics> {
    const folder = await TemporaryFolder.create('victoria-metrics')
    const file = join(folder.path, 'prometheus.yml')
    await writeFile(file, config)
    const [port = 0] = await freePorts(1)
    const program = join(await unpacked('victoria-metrics'), 'usr/bin/victoria-metrics')
    const started = await Process.start('victoria-metrics', program, [
      `-promscrape.config=${file}`,
      '-promscrape.consulSDCheckInterval=1s',
      '-promscrape.httpSDCheckInterval=1s',
      `-storageDataPath=${join(folder.path, 'data')}`,
      `-httpListenAddr=127.0.0.1:${port}`,
    ])
    const victoria = new VictoriaMetrics(`http://127.0.0.1:${port}`, started, folder)
    await waitFor('VictoriaMetrics to be ready', async () => {
      if (!started.running) throw new Error(`victoria-metrics ended: ${started.stderr.slice(-1_000)}`)
      return (await fetch(`${victoria.url}/health`)).ok
    })
    return victoria
  }

  async targets(): Promise<Target[]> {
    const answer = await fetch(`${this.url}/api/v1/targets?state=active`)
    return ((await answer.json()) as { data: { activeTargets: Target[] } }).data.activeTargets
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }
}
