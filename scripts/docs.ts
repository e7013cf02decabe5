/**
 * `npm run docs` writes the generated pages and dashboards; `-- --check` says which are out of date and exits 1;
 * `-- --screenshots` takes the pictures of docs/images anew (as root).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { format, resolveConfig } from 'prettier'
import { configurationMarkdown } from '../src/config/help.ts'
import { grafanaModel } from './dashboards/dashboard.ts'
import { dashboards } from './dashboards/index.ts'
import { benchmarksMarkdown } from './benchmarks-page.ts'
import { chartFiles } from './helm/files.ts'
import { metricsMarkdown } from './metrics-page.ts'

const pages: Record<string, string> = {
  'docs/configuration.md': configurationMarkdown(),
  'docs/metrics.md': metricsMarkdown(),
  'docs/benchmarks.md': benchmarksMarkdown(),
  ...chartFiles(),
}
for (const dashboard of dashboards)
  pages[`deploy/grafana/${dashboard.uid}.json`] = JSON.stringify(grafanaModel(dashboard))

for (const [path, text] of Object.entries(pages)) {
  const wanted = await format(text, { ...(await resolveConfig(path)), filepath: path })
  const stands = existsSync(path) ? readFileSync(path, 'utf8') : ''
  if (stands === wanted) continue
  if (process.argv.includes('--check')) {
    console.error(`${path} is out of date: run "npm run docs" and commit it`)
    process.exitCode = 1
  } else {
    writeFileSync(path, wanted)
    console.log(`wrote ${path}`)
  }
}

if (process.argv.includes('--screenshots')) await import('./screenshots.ts')
