/** A real Pushgateway, on a free port of the loopback address. */
import { join } from 'node:path'
import { unpacked } from './needs.ts'
import { freePorts } from './ports.ts'
import { Process } from './process.ts'
import { waitFor } from './wait.ts'

export class Pushgateway implements AsyncDisposable {
  /** `host:port`. */
  readonly address: string
  readonly #process: Process

  private constructor(address: string, started: Process) {
    this.address = address
    this.#process = started
  }

  static async start(): Promise<Pushgateway> {
    const program = join(await unpacked('pushgateway'), 'usr/bin/prometheus-pushgateway')
    const [port = 0] = await freePorts(1)
    const address = `127.0.0.1:${port}`
    const started = await Process.start('pushgateway', program, [`--web.listen-address=${address}`])
    const gateway = new Pushgateway(address, started)
    try {
      await waitFor('the Pushgateway to be ready', async () => {
        if (!started.running) throw new Error(`pushgateway ended: ${started.stderr.slice(-1_000)}`)
        return (await fetch(`${gateway.url}/-/ready`)).ok
      })
      return gateway
    } catch (error) {
      await gateway[Symbol.asyncDispose]()
      throw error
    }
  }

  get url(): string {
    return `http://${this.address}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}
