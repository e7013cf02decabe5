import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildProgram } from '../../../lab/built-program.ts'
import { CriReplay } from '../../../lab/cri-replay.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { missingFor, unpacked } from '../../../lab/needs.ts'
import { Process } from '../../../lab/process.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { parseExposition, valuesBy } from '../../support/exposition.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const fixtures = join(root, 'test/fixtures')
const node = join(fixtures, 'exporter-node')

/** Every collector that needs no eBPF. */
const collectors = 'connections,tcp,udp,sockstat,filesystem,advtcp,network,resources,processes'

/** What differs from run to run becomes `…`; what Node.js tells of itself is left out. */
function stable(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/podsonar_(nodejs|process)_/.test(line))
    .map((line) =>
      line
        .replace(/^(podsonar_(?:collector_duration|socket_table_age|socket_table_duration)\S*) .*/, '$1 …')
        .replace(/^(container_filesystem_\S* ?.*\}) .*/, '$1 …')
        .replace(/(endpoint|version)="[^"]*"/g, '$1="…"'),
    )
    .join('\n')
}

interface Answer {
  readonly text: string
  readonly type: string
  readonly encoding: string
}

/** Asks with Node's own client, which does not decompress by itself. */
async function get(url: string, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(`${url}/metrics`, { headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const body = Buffer.concat(chunks)
        const encoding = response.headers['content-encoding'] ?? ''
        const text = (encoding === 'gzip' ? gunzipSync(body) : body).toString('utf8')
        resolve({ text, encoding, type: response.headers['content-type'] ?? '' })
      })
    })
      .on('error', reject)
      .end()
  })
}

async function golden(name: string, text: string): Promise<void> {
  const file = join(fixtures, name)
  if (process.env['UPDATE'] === '1') await writeFile(file, text)
  expect(text).toBe(await readFile(file, 'utf8'))
}

describe('the built exporter on a recorded node', () => {
  const answers: { plain?: Answer; open?: Answer; zipped?: Answer } = {}

  beforeAll(async () => {
    await using folder = await TemporaryFolder.create('golden')
    const entry = await buildProgram(folder.path, false)
    const cri = JSON.parse(await readFile(join(node, 'cri.json'), 'utf8')) as Record<string, object> & {
      ContainerStatus: Record<string, object>
    }
    await using replay = await CriReplay.start({
      ...cri,
      ContainerStatus: ({ containerId }) => cri.ContainerStatus[String(containerId)],
    })
    await using exporter = await Program.start(
      ['exporter'],
      {
        RUNTIME_ENDPOINT: replay.socket,
        PROC_PATH: join(node, 'proc'),
        CGROUP_PATH: join(node, 'cgroup'),
        NODE_NAME: 'node-1',
        COLLECTORS: collectors,
        POD_LABELS: 'app',
        CONNECTIONS_SOURCE: 'procfs',
      },
      entry,
    )
    const url = await exporter.url()
    await waitFor('the written layers to be known', async () =>
      (await get(url, {})).text.includes('container_writable_layer_bytes{'),
    )
    answers.plain = await get(url, {})
    answers.open = await get(url, { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' })
    answers.zipped = await get(url, { 'accept-encoding': 'gzip' })
  }, 180_000)

  it('answers what was recorded, in Prometheus text', async () => {
    const { text, type, encoding } = answers.plain!
    expect([type, encoding]).toEqual(['text/plain; version=0.0.4; charset=utf-8', ''])
    await golden('exporter-node.metrics.txt', stable(text))
    const success = valuesBy(
      parseExposition(text),
      'podsonar_collector_success',
      ({ collector }) => collector,
    )
    expect(success).toEqual(Object.fromEntries(collectors.split(',').map((name) => [name, 1])))
  })

  it('answers OpenMetrics when asked for it, with the same samples', async () => {
    const { text, type } = answers.open!
    expect(type).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
    expect(text.endsWith('# EOF\n')).toBe(true)
    await golden('exporter-node.openmetrics.txt', stable(text))
    const samples = (body: string): string[] =>
      stable(body)
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
    expect(samples(text)).toEqual(samples(answers.plain!.text))
  })

  it('compresses when asked to', () => {
    expect(answers.zipped!.encoding).toBe('gzip')
    expect(stable(answers.zipped!.text)).toBe(stable(answers.plain!.text))
  })

  it.skipIf(missingFor('prometheus') !== undefined)(
    'passes promtool, but for names that are given',
    async () => {
      const promtool = join(await unpacked('prometheus'), 'usr/bin/promtool')
      expect(existsSync(promtool)).toBe(true)
      await using folder = await TemporaryFolder.create('promtool')
      const file = join(folder.path, 'metrics')
      await writeFile(file, answers.plain!.text)
      const check = await Process.start('promtool', 'sh', ['-c', `"${promtool}" check metrics < "${file}"`])
      await check.exited
      const problems = (check.stdout + check.stderr).split('\n').filter((line) => line !== '')
      const cadvisors =
        /^container_(network_(tcp6?|udp6?)_usage_total|network_advance_tcp_stats_total|memory_failcnt|sockstat_total) (non-)?counter metrics should/
      // prom-client's own, of Node.js and the process
      const nodes = /^podsonar_(nodejs|process)_/
      expect(problems.filter((line) => !cadvisors.test(line) && !nodes.test(line))).toEqual([])
    },
  )
})
