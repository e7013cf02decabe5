import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Containerd } from '../../../lab/containerd.ts'
import { CriReplay } from '../../../lab/cri-replay.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { HungMount } from '../../../lab/hung-mount.ts'
import { entry, Program } from '../../../lab/program.ts'
import { networkNamespace } from '../../../lab/network-namespace.ts'
import { Process, run } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'

/** A runtime whose containers come and go: each is a real process in a network namespace of its own. */
class Churn implements AsyncDisposable {
  readonly #processes = new Map<string, Process>()
  /** Whom the runtime knows: with those that have ended a moment ago, as real ones have. */
  readonly #listed = new Map<string, number>()
  replay: CriReplay | undefined

  static async start(): Promise<Churn> {
    const churn = new Churn()
    const labels = (name: string): Record<string, string> => ({
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': 'churn',
      'io.kubernetes.pod.uid': `uid-${name}`,
      'io.kubernetes.container.name': 'main',
    })
    churn.replay = await CriReplay.start({
      Version: { runtimeName: 'containerd', runtimeVersion: '2.0.0', runtimeApiVersion: 'v1' },
      ListPodSandbox: () => ({ items: [] }),
      ListContainers: () => ({
        containers: [...churn.#listed.keys()].map((id) => ({
          ...{ id, podSandboxId: `s-${id}`, metadata: { name: 'main' }, image: { image: 'a' } },
          labels: labels(id),
        })),
      }),
      ContainerStatus: ({ containerId }) => {
        const pid = churn.#listed.get(String(containerId))
        return pid === undefined ? undefined : { info: { info: JSON.stringify({ pid }) } }
      },
    })
    return churn
  }

  async add(name: string): Promise<void> {
    const started = await Process.start(name, 'unshare', ['--net', 'sleep', '1000'])
    this.#processes.set(name, started)
    const isThere = (): boolean => networkNamespace(started.pid) !== networkNamespace(process.pid)
    await waitFor('its namespace', isThere, { everyMs: 2 })
    this.#listed.set(name, started.pid)
  }

  /** Ends one; the runtime notices only later. */
  async end(name: string): Promise<void> {
    this.#processes.get(name)?.kill('SIGKILL')
    await this.#processes.get(name)?.exited
    this.#processes.delete(name)
    this.#listed.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#processes.keys()].map((name) => this.end(name)))
    await this.replay?.[Symbol.asyncDispose]()
  }
}

function podsIn(samples: readonly MetricSample[]): string[] {
  const pods = valuesBy(samples, 'container_sockstat_total', ({ pod }) => pod || undefined)
  return Object.keys(pods).sort()
}

function successIn(samples: readonly MetricSample[]): number[] {
  return [
    ...new Set(Object.values(valuesBy(samples, 'podsonar_collector_success', ({ collector }) => collector))),
  ]
}

describeWith(['root'], 'the exporter while pods come and go', () => {
  it('answers every scrape, and forgets at once, through 1,000 pods', async () => {
    await using churn = await Churn.start()
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: churn.replay?.socket ?? '',
      COLLECTORS: 'sockstat,network,tcp',
      CONNECTIONS_SOURCE: 'procfs',
    })
    const url = await exporter.url()
    await waitFor('the exporter to be ready', async () => (await fetch(`${url}/readyz`)).ok)
    const stop = new AbortController()
    let scrapes = 0
    const scraping = (async () => {
      while (!stop.signal.aborted) {
        const samples = await scrape(url)
        scrapes += 1
        expect(successIn(samples)).toEqual([1])
        expect((await fetch(`${url}/healthz`)).status).toBe(200)
      }
    })()
    const round = 50
    for (let pod = 0; pod < 1_000 || scrapes <= 2; pod += round) {
      const names = Array.from({ length: round }, (_, k) => `pod-${pod + k}`)
      await Promise.all(names.map((name) => churn.add(name)))
      await Promise.all(names.map((name) => churn.end(name)))
    }
    for (const name of ['last-a', 'last-b']) await churn.add(name)
    stop.abort()
    await scraping
    // A runtime that is asked by others too may have answered before the last ones came.
    await waitFor('the last ones', async () => podsIn(await scrape(url)).join() === 'last-a,last-b')
    expect(successIn(await scrape(url))).toEqual([1])
  })
})

describeWith(['root'], 'the exporter without the right to look at processes', () => {
  /** Starts it as root without CAP_SYS_PTRACE, and gives the reasons for which containers were skipped. */
  const skippedReasons = async (churn: Churn, settings: Record<string, string>): Promise<string[]> => {
    const { PATH, HOME } = process.env
    const env = { PATH, HOME, PORT: '0', LOG_FORMAT: 'json', ...settings }
    const drop = ['--bounding-set', '-sys_ptrace', '--inh-caps', '-sys_ptrace']
    await using started = await Process.start('exporter', 'setpriv', [...drop, entry, 'exporter'], {
      env: { ...env, RUNTIME_ENDPOINT: churn.replay?.socket ?? '', COLLECTORS: 'sockstat' },
    })
    const port = await waitFor('the port', () => /"setting":"PORT","port":(\d+)/.exec(started.stderr)?.[1])
    const samples = await waitFor('a scrape', () => scrape(`http://127.0.0.1:${port}`))
    expect(successIn(samples)).toEqual([1])
    expect(podsIn(samples)).toEqual([])
    const reasons = valuesBy(samples, 'podsonar_skipped_total', ({ kind, reason }) =>
      kind === 'container' ? reason : undefined,
    )
    return Object.keys(reasons)
  }

  it('skips and counts the containers', async () => {
    await using churn = await Churn.start()
    await churn.add('hidden')
    expect(await skippedReasons(churn, {})).toEqual(['no_permission'])
  })

  it('skips and counts them on a /proc mounted with hidepid', async () => {
    await using churn = await Churn.start()
    await churn.add('hidden')
    await using folder = await TemporaryFolder.create('hidepid')
    const proc = join(folder.path, 'proc')
    await mkdir(proc)
    await run('mount', ['-t', 'proc', '-o', 'hidepid=2,gid=54321', 'proc', proc])
    try {
      expect(await skippedReasons(churn, { PROC_PATH: proc })).toEqual(['process_gone'])
    } finally {
      await run('umount', [proc])
    }
  })
})

describeWith(['root', 'containerd'], 'the exporter beside a process that hangs', () => {
  it('reads the namespace of a pod whose only process is in uninterruptible sleep', async () => {
    await using containerd = await Containerd.start()
    const script = 'while [ ! -e /tmp/go ]; do sleep 0.1; done; exec stat /tmp/remote/file'
    const pod = await containerd.runPod({ name: 'stuck', namespace: 'lab', command: ['sh', '-c', script] })
    const pid = pod.containers[0]?.pid ?? 0
    await using _hung = await HungMount.on(pid, '/tmp/remote')
    await writeFile(`/proc/${pid}/root/tmp/go`, '')
    await waitFor('the process to hang', async () =>
      / D /.test((await readFile(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\)/, '')),
    )
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: containerd.socket,
      CONNECTIONS_SOURCE: 'procfs',
      COLLECTORS: 'connections,tcp,udp,sockstat,filesystem,network,resources,processes',
    })
    const url = await exporter.url()
    const startedAt = performance.now()
    const samples = await waitFor('the pod to be seen', async () => {
      const all = await scrape(url)
      return podsIn(all).includes('stuck') ? all : undefined
    })
    // Not for ever; a busy machine takes its time.
    expect(performance.now() - startedAt).toBeLessThan(60_000)
    expect(successIn(samples)).toEqual([1])
    const processes = valuesBy(samples, 'container_processes', ({ pod: name }) => name || undefined)
    expect(processes).toEqual({ stuck: 1 })
  })
})
