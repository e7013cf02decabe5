import { once } from 'node:events'
import { createServer } from 'node:net'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { scrape, valuesBy } from '../../support/exposition.ts'

/** Starts an exporter on a runtime that does not work; gives the collectors' success and the reason in /readyz. */
async function withRuntime(endpoint: string): Promise<{ success: number[]; reason: string; tookMs: number }> {
  await using exporter = await Program.start(['exporter'], {
    RUNTIME_ENDPOINT: endpoint,
    CONNECTIONS_SOURCE: 'procfs',
  })
  const url = await exporter.url()
  const startedAt = performance.now()
  const samples = await scrape(url, { 'x-prometheus-scrape-timeout-seconds': '4' })
  const tookMs = performance.now() - startedAt
  const success = valuesBy(samples, 'podsonar_collector_success', ({ collector }) => collector)
  expect(samples.filter(({ name }) => /^(container|pod)_/.test(name))).toEqual([])
  const ready = await waitFor('a reason in /readyz', async () => {
    const response = await fetch(`${url}/readyz`)
    const { reasons } = (await response.json()) as { reasons: Record<string, string> }
    return response.status === 503 && reasons['runtime']?.includes(endpoint) ? reasons : undefined
  })
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  return { success: Object.values(success), reason: ready['runtime'] ?? '', tookMs }
}

describe('an exporter without a working runtime answers, with every collector failed, and says why', () => {
  it('when the socket is missing', async () => {
    const { success, reason } = await withRuntime('unix:///nowhere/containerd.sock')
    expect(new Set(success)).toEqual(new Set([0]))
    expect(reason).toMatch(/there is no such socket, expected one/)
  })

  it('when nobody listens on it', async () => {
    await using folder = await TemporaryFolder.create('refusing')
    const socket = join(folder.path, 'a.sock')
    await writeFile(socket, '')
    const { success, reason } = await withRuntime(`unix://${socket}`)
    expect(new Set(success)).toEqual(new Set([0]))
    expect(reason).toMatch(/ECONNREFUSED.*expected a runtime that serves CRI v1/)
  })

  it('when it takes connections and never answers, without waiting for ever', async () => {
    await using folder = await TemporaryFolder.create('hanging')
    const socket = join(folder.path, 'a.sock')
    const server = createServer((connection) => connection.on('error', () => undefined))
    server.listen(socket)
    await once(server, 'listening')
    try {
      const { success, reason, tookMs } = await withRuntime(`unix://${socket}`)
      expect(new Set(success)).toEqual(new Set([0]))
      expect(reason).toMatch(/no answer within \d+ ms/)
      // Without a budget it would wait for ever; on a busy machine four seconds may become more.
      expect(tookMs).toBeLessThan(60_000)
    } finally {
      server.close()
    }
  })
})

describe('an exporter with bad settings ends with status 2 and says what it expected', () => {
  const ends = async (settings: Record<string, string>): Promise<string> => {
    await using exporter = await Program.start(['exporter'], settings)
    expect(await exporter.process.exited).toMatchObject({ code: 2 })
    return exporter.process.stderr
  }

  it('for a PROC_PATH that is no /proc', async () => {
    await using folder = await TemporaryFolder.create('proc')
    expect(await ends({ PROC_PATH: folder.path })).toMatch(
      /PROC_PATH: expected where the host's \/proc is mounted .*: value was "\/.*proc/,
    )
    await mkdir(join(folder.path, 'self'))
    await writeFile(join(folder.path, 'stat'), 'something else')
    expect(await ends({ PROC_PATH: folder.path })).toMatch(/PROC_PATH/)
    expect(await ends({ PROC_PATH: '/nowhere' })).toMatch(
      /PROC_PATH: expected the path of an existing folder/,
    )
  })

  it('for collectors, endpoints and bounds that there are not', async () => {
    const stderr = await ends({
      COLLECTORS: 'tcp,icmp',
      RUNTIME_ENDPOINT: 'tcp://localhost:1',
      CONNECTIONS_MAX_SERIES: '0',
      CONNECTIONS_INBOUND_PORTS: 'maybe',
    })
    for (const variable of [
      'COLLECTORS',
      'RUNTIME_ENDPOINT',
      'CONNECTIONS_MAX_SERIES',
      'CONNECTIONS_INBOUND_PORTS',
    ])
      expect(stderr).toMatch(new RegExp(`${variable}: expected .*: value was`))
  })
})
