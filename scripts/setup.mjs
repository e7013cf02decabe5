/**
 * Installs the npm packages when they are missing or older than the lock file, so that `npm run demo` and
 * `npm test` work in a fresh clone. Plain JavaScript for any Node: it runs before the pinned Node 24 is there.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.podsonar-lock')
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')

const installed = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted
if (!installed) {
  console.error('podsonar: installing npm packages (once, about a minute) …')
  const { status } = spawnSync('npm', ['ci', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) {
    console.error('podsonar: npm ci failed, see above')
    process.exit(1)
  }
  writeFileSync(stamp, wanted)
}
const pinned = join(root, 'node_modules', '.bin', 'node')
if (!existsSync(pinned)) {
  console.error(
    'podsonar: node_modules/.bin/node is missing: the package "node" was installed without its install script. ' +
      'Run "npm ci" without --ignore-scripts.',
  )
  process.exit(1)
}
