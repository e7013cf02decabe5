/** `npm run check`: the one gate. Runs every check, prints what failed, exits 1 if any did. */
import { spawnSync } from 'node:child_process'

const checks = {
  types: 'tsc',
  lint: 'eslint . --max-warnings 0',
  format: 'prettier --check --log-level warn .',
  layers: 'depcruise src lab demo bench scripts',
  'dead code': 'knip --no-progress',
  'generated docs': 'node scripts/docs.ts --check',
}

const failed = Object.entries(checks).filter(([name, command]) => {
  const started = performance.now()
  const { status } = spawnSync(command, { shell: true, stdio: 'inherit' })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
  return status !== 0
})
process.exitCode = failed.length === 0 ? 0 : 1
