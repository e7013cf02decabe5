import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { TemporaryFolder } from '../../../lab/files.ts'
import { unpacked } from '../../../lab/needs.ts'
import { run } from '../../../lab/process.ts'
import { describeWith } from '../../setup/needs.ts'
import { alertCases } from './alert-cases.ts'

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const folder = join(repository, 'deploy/prometheus/rules')
const files = ['records.yml', 'alerts.yml'].map((name) => join(folder, name))

interface Rule {
  readonly alert?: string
  readonly annotations: Readonly<Record<string, string>>
}
const rules = files
  .flatMap((file) => (parse(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] }).groups)
  .flatMap(({ rules: ofGroup }) => ofGroup)
const alerts = rules.filter(({ alert }) => alert !== undefined)

/** Tests of promtool: these series raise these alerts, or none, of all. */
function promtoolTests(name: string, kind: 'firing' | 'calm'): readonly unknown[] {
  const { after, labels, summary, description, firing, alsoFiring, calm } = alertCases[name] ?? never(name)
  const runbook = alerts.find(({ alert }) => alert === name)?.annotations['runbook']
  const raised = { exp_labels: labels, exp_annotations: { summary, description, runbook } }
  const inputs = kind === 'calm' ? [calm] : [firing, ...(alsoFiring === undefined ? [] : [alsoFiring])]
  return inputs.map((series) => ({
    interval: '1m',
    input_series: Object.entries(series).map(([one, values]) => ({ series: one, values })),
    alert_rule_test: [{ eval_time: after, alertname: name, exp_alerts: kind === 'firing' ? [raised] : [] }],
  }))
}

function never(name: string): never {
  throw new Error(`No case for the alert ${name}`)
}

describeWith(['prometheus'], 'the Prometheus rules', () => {
  let promtool: string

  beforeAll(async () => {
    promtool = join(await unpacked('prometheus'), 'usr/bin/promtool')
  })

  it('are accepted by promtool', async () => {
    await expect(run(promtool, ['check', 'rules', ...files])).resolves.toContain('SUCCESS')
  })

  it('have a case for every alert', () => {
    expect(alerts.map(({ alert }) => alert).sort()).toEqual(Object.keys(alertCases).sort())
  })

  it.each(alerts.map(({ alert, annotations }) => [alert, annotations['runbook']]))(
    '%s has a runbook',
    (alert, runbook = '') => {
      expect(existsSync(join(repository, runbook))).toBe(true)
      const page = readFileSync(join(repository, runbook), 'utf8')
      expect(page).toContain(`# ${alert}\n`)
      for (const part of ['What it means', 'What to look at', 'What to do'])
        expect(page).toContain(`## ${part}\n`)
    },
  )

  it.each(['firing', 'calm'] as const)('when series are %s', { timeout: 60_000 }, async (kind) => {
    await using work = await TemporaryFolder.create('rules')
    const file = join(work.path, 'tests.yml')
    const tests = Object.keys(alertCases).flatMap((name) => promtoolTests(name, kind))
    await writeFile(file, stringify({ rule_files: files, evaluation_interval: '1m', tests }))
    await expect(run(promtool, ['test', 'rules', file])).resolves.toContain('SUCCESS')
  })
})
