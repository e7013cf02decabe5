import { expect, it } from 'vitest'
import { Containerd } from '../../../lab/containerd.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { missedOnTheNode, programsOf } from '../../support/bpf-programs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'
import { runWithSidecar, sidecarPort } from '../../support/sidecar-pods.ts'

const annotations = { 'podsonar.io/observe': 'true' }

/** Values by pod and container, and the side where there is one. */
const ofSidecars = (samples: readonly MetricSample[], metric: string): Record<string, number> =>
  valuesBy(samples, `podsonar_sidecar_${metric}`, ({ pod, container, side }) =>
    [pod, container, ...(side === undefined ? [] : [side])].join(' '),
  )

async function ask(ip: string, port = sidecarPort): Promise<void> {
  await (await fetch(`http://${ip}:${port}/`, { headers: { connection: 'close' } })).text()
}

describeWith(['root', 'containerd', 'bpf'], 'sidecars of pods on a real containerd', () => {
  it('are timed where they are chosen, and connections that they keep are counted', async () => {
    await using containerd = await Containerd.start()
    const fresh = await runWithSidecar(containerd, { pod: 'fresh', annotations })
    const kept = await runWithSidecar(containerd, { pod: 'kept', name: 'mesh', keep: true, annotations })
    const plain = await runWithSidecar(containerd, { pod: 'plain' })
    const pods = [fresh, kept, plain]
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile() },
      ...{ COLLECTORS: 'sidecar', SIDECAR_NAMES: 'istio-proxy,mesh' },
    })
    const url = await exporter.url()
    for (const { ip } of pods)
      for (const port of [8080, sidecarPort])
        await waitFor('the servers to answer', () => ask(ip, port).then(() => true))
    await waitFor('the pods to be watched', async () => {
      const counts = ofSidecars(await scrape(url), 'processing_duration_seconds_count')
      return Object.keys(counts).length === 2
    })
    const before = await scrape(url)

    for (let n = 0; n < 10; n += 1) for (const { ip } of pods) await ask(ip)

    const growth = (samples: readonly MetricSample[], metric: string): Record<string, number> => {
      const were = ofSidecars(before, metric)
      return Object.fromEntries(
        Object.entries(ofSidecars(samples, metric)).map(([key, value]) => [key, value - (were[key] ?? 0)]),
      )
    }
    const samples = await waitFor('the callers to be counted', async () => {
      const now = await scrape(url)
      return growth(now, 'reused_connections_total')['kept mesh caller'] === 10 ? now : undefined
    })
    const timed = { 'fresh istio-proxy': 10, 'kept mesh': 0 }
    expect(growth(samples, 'processing_duration_seconds_count')).toEqual(timed)
    expect(growth(samples, 'connect_duration_seconds_count')).toEqual(timed)
    for (const what of ['processing', 'connect']) {
      const sum = growth(samples, `${what}_duration_seconds_sum`)['fresh istio-proxy'] ?? 0
      expect(sum).toBeGreaterThan(10e-6)
      expect(sum).toBeLessThan(10)
    }
    expect(growth(samples, 'reused_connections_total')).toMatchObject({
      ...{ 'fresh istio-proxy caller': 0, 'fresh istio-proxy service': 0, 'kept mesh service': 0 },
    })
    const { lost } = valuesBy(samples, 'podsonar_sidecar_lost_events_total', () => 'lost')
    expect(lost).toBeLessThan(missedOnTheNode)

    await containerd.removePod(fresh)
    await waitFor('the pod to be forgotten', async () =>
      (await scrape(url)).every(({ labels }) => labels['pod'] !== 'fresh'),
    )
  })

  it('attach nothing unless the collector is asked for', async () => {
    await using containerd = await Containerd.start()
    await runWithSidecar(containerd, { annotations })
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), CONNECTIONS_SOURCE: 'procfs' },
      COLLECTORS: 'sockstat',
    })
    const samples = await scrape(await exporter.url())

    expect(programsOf(exporter.process.pid)).toEqual([])
    expect(samples.some(({ name }) => name.startsWith('podsonar_sidecar_'))).toBe(false)
  })
})
