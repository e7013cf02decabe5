import { mkdir, readFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { TemporaryFolder } from '../../lab/files.ts'
import { run } from '../../lab/process.ts'
import { describeWith } from '../setup/needs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The environment of a user's shell: this project's own programs, Node 24 among them, are not on its path. */
function userEnvironment(): NodeJS.ProcessEnv {
  const path = (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
  const foreign = /^(npm_|VITEST|NODE_(ENV|OPTIONS|PATH)$)/
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name))
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter) }
}

describeWith(['npm registry'], 'a fresh copy of the repository', () => {
  it('sets itself up with the pinned Node 24, builds, and runs with its production packages alone', async () => {
    await using folder = await TemporaryFolder.create('clone')
    const listed = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
    })
    await mkdir(folder.path, { recursive: true })
    await run('cp', ['-P', '--parents', ...listed.split('\0').filter((file) => file !== ''), folder.path], {
      cwd: root,
    })
    const shell = { cwd: folder.path, env: userEnvironment() }

    await run('npm', ['run', 'build'], shell)
    expect(await run(join(folder.path, 'node_modules/.bin/node'), ['--version'], shell)).toMatch(/^v24\./)

    await run('npm', ['prune', '--omit=dev', '--ignore-scripts'], shell)
    // The image brings its own Node 24 in place of the one that was pruned.
    const path = [dirname(process.execPath), shell.env['PATH']].join(delimiter)
    const image = { ...shell, env: { ...shell.env, PATH: path } }
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    const entry = join(folder.path, 'dist/main.js')
    expect(await run(entry, ['--version'], image)).toBe(`podsonar ${version}\n`)
    for (const mode of ['registrar', 'proxy', 'exporter']) {
      const settings = await run(entry, ['config', mode, '--log-level', 'debug'], {
        ...image,
        env: { ...image.env, CLUSTER_NAME: 'x' },
      })
      expect(JSON.parse(settings)).toMatchObject({ MODE: mode, LOG_LEVEL: 'debug' })
    }
  }, 900_000)
})
