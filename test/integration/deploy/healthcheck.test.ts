import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Docker } from '../../../lab/docker.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { dockerfileStages } from '../../../lab/podsonar-image.ts'
import { run } from '../../../lab/process.ts'
import { buildRootfs } from '../../../lab/rootfs.ts'
import { Turn } from '../../../lab/turn.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'

interface Inspected {
  readonly Config: { readonly User: string; readonly Healthcheck: { readonly Test: readonly string[] } }
  readonly State: { readonly Health: { readonly Status: string; readonly Log: readonly object[] | null } }
}

const image = 'podsonar/podsonar:test'
/** The Dockerfile's own times are longer: only how often and how long it is asked is changed. */
const often = { Interval: 1e9, StartPeriod: 0, Retries: 2, Timeout: 8e9 }

describeWith(['docker', 'bpf', 'root'], 'the image in Docker', () => {
  const owned = new AsyncDisposableStack()
  let docker: Docker
  beforeAll(async () => {
    const folder = owned.use(await TemporaryFolder.create('healthcheck'))
    const rootfs = join(folder.path, 'rootfs')
    {
      await using _turn = await Turn.exclusive('dist')
      await run(process.execPath, ['scripts/build.ts'])
      await buildRootfs(rootfs)
    }
    await mkdir(join(rootfs, 'proc'), { recursive: true })
    docker = owned.use(await Docker.start())
    // The files are the script's, all else is what the last stage of the Dockerfile says, read by Docker itself.
    const [, ...last] = (await dockerfileStages()).at(-1) ?? []
    await docker.importRootfs(
      image,
      rootfs,
      last.filter((line) => !line.startsWith('COPY ')),
    )
  }, 300_000)
  afterAll(async () => {
    await owned.disposeAsync()
  }, 60_000)

  const inspect = (id: string): Promise<Inspected> => docker.call('GET', `/containers/${id}/json`)
  const untilHealth = (id: string, status: string): Promise<Inspected> =>
    waitFor(
      `the container to be ${status}`,
      async () => {
        const found = await inspect(id)
        if (found.State.Health.Status === status) return found
        throw new Error(JSON.stringify(found.State))
      },
      { timeoutMs: 120_000, everyMs: 500 },
    )

  it('is healthy while its mode answers, at the port of its arguments, and unhealthy when it does not', async () => {
    const { id } = await docker.run({
      name: 'exporter',
      image,
      command: ['exporter', '--port', '28999', '--collectors', 'sockstat'],
      config: { Healthcheck: often },
    })
    const { Config } = await untilHealth(id, 'healthy')
    expect(Config.User).toBe('65532:65532')
    expect(Config.Healthcheck.Test).toEqual(['CMD', '/usr/bin/podsonar', 'healthcheck'])
    await docker.call('POST', `/containers/${id}/kill?signal=SIGSTOP`)
    await untilHealth(id, 'unhealthy')
    await docker.call('POST', `/containers/${id}/kill?signal=SIGCONT`)
    await untilHealth(id, 'healthy')
  }, 300_000)
})
