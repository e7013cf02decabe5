import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { Containerd, type ContainerSpec } from '../../../lab/containerd.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import { run } from '../../../lab/process.ts'
import { entry, Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy } from '../../support/exposition.ts'

const server = fileURLToPath(new URL('../../support/node-https-server.ts', import.meta.url))

/** Requests served, as `pod scheme route`. */
async function served(url: string): Promise<Record<string, number>> {
  return valuesBy(await scrape(url), 'http_server_request_duration_seconds_count', (labels) =>
    [labels['pod'], labels['url_scheme'], labels['http_route']].join(' '),
  )
}

function libraries(url: string): Promise<number | undefined> {
  return scrape(url).then(
    (samples) => samples.find(({ name }) => name === 'podsonar_requests_tls_libraries')?.value,
  )
}

describeWith(['root', 'containerd', 'bpf', 'curl'], 'requests within TLS of pods', () => {
  it('are watched when a pod starts, after its container was replaced, and no more when it is gone', async () => {
    await using authority = await CertificateAuthority.create()
    const { certificateFile, keyFile } = await authority.issue({ commonName: 'web' })
    await using containerd = await Containerd.start()
    const web: ContainerSpec = {
      name: 'web',
      command: ['/node', '/server.ts', '/certificate', '/key', '0.0.0.0', '8443'],
      mounts: {
        ...{ '/usr': '/usr', '/node': process.execPath, '/server.ts': server },
        ...{ '/certificate': certificateFile, '/key': keyFile },
      },
    }
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), COLLECTORS: 'http' },
      ...{ OBSERVE_NAMESPACES: 'lab', OBSERVE_TLS: 'true' },
    })
    const url = await exporter.url()
    const pods = await Promise.all(
      ['one', 'two'].map((name) => containerd.runPod({ name, namespace: 'lab', containers: [web] })),
    )
    const ask = async (ip: string, path: string): Promise<void> => {
      await waitFor(`${ip} to answer`, () =>
        run('curl', ['-sk', '-o', '/dev/null', `https://${ip}:8443${path}`]).then(() => true),
      )
    }

    // The same file in both: followed once.
    await waitFor('the library to be followed', async () => (await libraries(url)) === 1)
    for (const { name, ip } of pods) {
      await waitFor(`${name} to be watched`, async () => {
        await ask(ip, '/warm')
        return Object.keys(await served(url)).some((key) => key.startsWith(name))
      })
      for (let index = 0; index < 5; index += 1) await ask(ip, `/items/${index}`)
    }
    await waitFor('each to be counted once', async () => {
      const counts = Object.entries(await served(url)).filter(([key]) => !key.endsWith('/warm'))
      expect(Object.fromEntries(counts)).toEqual({
        ...{ 'one https /items/{number}': 5, 'two https /items/{number}': 5 },
      })
      return true
    })
    const [one, two] = pods
    const [first] = one?.containers ?? []
    if (one === undefined || two === undefined || first === undefined) throw new Error('no container')
    await containerd.removeContainer(first)
    await containerd.addContainer(one, web)
    await waitFor('its successor to be followed', async () => {
      await ask(one.ip, '/items/9')
      return ((await served(url))['one https /items/{number}'] ?? 0) > 5
    })
    expect(await libraries(url)).toBe(1)
    for (const pod of pods) await containerd.removePod(pod)
    await waitFor('the library to be let go', async () => (await libraries(url)) === 0)
  })

  it('are not watched without CAP_SYS_ADMIN, which the log says once, while others are', async () => {
    await using authority = await CertificateAuthority.create()
    const { certificateFile, keyFile } = await authority.issue({ commonName: 'web' })
    await using containerd = await Containerd.start()
    const mounts = { '/usr': '/usr', '/node': process.execPath }
    const https = fileURLToPath(new URL('../../support/node-https-server.ts', import.meta.url))
    const http = fileURLToPath(new URL('../../support/node-http-server.ts', import.meta.url))
    const pod = await containerd.runPod({
      ...{ name: 'web', namespace: 'lab' },
      containers: [
        {
          ...{ name: 'https', command: ['/node', '/server.ts', '/certificate', '/key', '0.0.0.0', '8443'] },
          mounts: { ...mounts, '/server.ts': https, '/certificate': certificateFile, '/key': keyFile },
        },
        {
          ...{ name: 'http', command: ['/node', '/server.ts', '0.0.0.0', '8080'] },
          mounts: { ...mounts, '/server.ts': http },
        },
      ],
    })
    const settings = {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), COLLECTORS: 'http' },
      ...{ OBSERVE_NAMESPACES: 'lab', OBSERVE_TLS: 'true' },
    }
    const drop = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'] as const
    await using exporter = await Program.start(['exporter'], settings, [...drop, entry])
    const url = await exporter.url()

    await exporter.logged('requests_tls_unavailable')
    await waitFor('what is plain to be counted', async () => {
      await run('curl', ['-sk', '-o', '/dev/null', `http://${pod.ip}:8080/plain`])
      await run('curl', ['-sk', '-o', '/dev/null', `https://${pod.ip}:8443/secret`])
      return ((await served(url))['web http /plain'] ?? 0) > 2
    })
    expect(Object.keys(await served(url))).toEqual(['web http /plain'])
    expect(await libraries(url)).toBe(0)
  })
})
