import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { loadHttp } from '../../../lab/h2load.ts'
import { startNginx } from '../../../lab/http-servers.ts'
import { freePorts } from '../../../lab/ports.ts'
import { waitFor } from '../../../lab/wait.ts'
import { WatchedCgroup } from '../../../lab/watched-cgroup.ts'
import { missedOnTheNode } from '../../support/bpf-programs.ts'
import { describeWith } from '../../setup/needs.ts'
import { countedOf, openRequestReader } from '../../support/request-reader.ts'

const nodeServer = fileURLToPath(new URL('../../support/node-http-server.ts', import.meta.url))
const served = 'nginx http_server GET / 200'

/** Asks without a pause on several connections, whether there is a server or not. */
class Asking {
  /** Whole answers, and requests that got none. */
  answered = 0
  failed = 0
  readonly #agent = new Agent({ keepAlive: true })
  readonly #loops: Promise<void>[]
  #stopped = false

  constructor(port: number) {
    this.#loops = [1, 2, 3, 4].map(async () => {
      while (!this.#stopped) await this.#ask(port)
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#loops)
    this.#agent.destroy()
  }

  async #ask(port: number): Promise<void> {
    try {
      const request = get({ port, host: '127.0.0.1', path: '/load', agent: this.#agent })
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      await once(response.resume(), 'end')
      this.answered += 1
    } catch {
      this.failed += 1
      await new Promise(setImmediate)
    }
  }
}

for (const hooks of ['socket', 'syscall'] as const) {
  describeWith(['root', 'bpf', 'nginx', 'h2load'], `requests under load, seen by ${hooks} hooks`, () => {
    it('are counted by whoever watches all the time, while programs come and go, and once by each of these', async () => {
      await using folder = await TemporaryFolder.create('nginx')
      await using cgroup = await WatchedCgroup.create()
      const nginx = await startNginx(cgroup, { folder: folder.path })
      await using _nginx = nginx.process
      using always = openRequestReader({ nginx: cgroup }, { hooks })
      const parts: number[] = []
      // A busy machine may need a while to load the programs.
      const enough = new AbortController()
      const load = (async () => {
        let sum = 0
        while (!enough.signal.aborted) {
          const { done } = await loadHttp(nginx.port, { requestsPerSecond: 1_000, seconds: 4 })
          sum += done
        }
        return sum
      })()
      await using stack = new AsyncDisposableStack()
      stack.defer(async () => {
        enough.abort()
        await load.catch(() => undefined)
      })
      while (parts.length < 4) {
        using reader = openRequestReader({ nginx: cgroup }, { hooks })
        const count = await waitFor('a part of the load', () => {
          const counts = countedOf(reader)
          expect(Object.keys(counts).filter((key) => key !== served)).toEqual([])
          return (counts[served] ?? 0) >= 200 && counts[served]
        })
        parts.push(count)
      }
      enough.abort()

      const done = await load
      await waitFor('all of it', () => (countedOf(always)[served] ?? 0) >= done)
      expect(countedOf(always)).toEqual({ [served]: done })
      expect(parts.reduce((sum, part) => sum + part, 0)).toBeLessThanOrEqual(done)
    })
  })

  describeWith(['root', 'bpf'], `requests of a server that is restarted, seen by ${hooks} hooks`, () => {
    it('are each counted, with the status that was sent, and those that it died in as without a response', async () => {
      const [port = 0] = await freePorts(1)
      await using stack = new AsyncDisposableStack()
      using reader = openRequestReader({}, { hooks })
      const asking = new Asking(port)
      stack.defer(() => asking.stop())
      const cgroups: WatchedCgroup[] = []
      for (let life = 0; life < 4; life += 1) {
        // A container gets a cgroup of its own at each start.
        const cgroup = stack.use(await WatchedCgroup.create())
        cgroups.push(cgroup)
        reader.watch(cgroups.map(({ id }) => ({ cgroupId: id, owner: 'node' })))
        const before = asking.answered
        const args = [nodeServer, '127.0.0.1', String(port)]
        await using server = await cgroup.start('node', process.execPath, args)
        await waitFor('some of the load', () => asking.answered >= before + 300)
        server.kill('SIGKILL')
        await server.exited
      }
      await asking.stop()

      const { answered, failed } = asking
      const [whole, none] = ['node http_server GET /load 200', 'node http_server GET /load ']
      await waitFor('all of them', () => (countedOf(reader)[whole] ?? 0) >= answered)
      const counts = countedOf(reader)
      expect(Object.keys(counts).filter((key) => key !== whole && key !== none)).toEqual([])
      expect(reader.read(false).lost).toBeLessThan(missedOnTheNode)
      // Of the four that are under way when it dies, some are sent and not received.
      expect(counts[whole]).toBeLessThanOrEqual(answered + 4 * 4)
      expect(counts[none] ?? 0).toBeLessThanOrEqual(4 * 4)
      expect(failed).toBeGreaterThan(0)
    })
  })
}
