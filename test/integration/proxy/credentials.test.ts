import { rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubelet } from '../../../lab/kubelet.ts'
import { waitFor } from '../../../lab/wait.ts'
import { ProxyWorld, token } from '../../support/proxy-world.ts'

describe('the token', () => {
  it('is read again when a kubelet refuses it, and costs no scrape when it was replaced', async () => {
    await using world = await ProxyWorld.start({ settings: { MAX_IN_FLIGHT_PER_NODE: '40' } })
    const kubelet = await world.addKubelet('node-1')
    const scrape = (): Promise<{ status: number }> => world.scrape('127.0.0.1', kubelet.port)
    expect((await scrape()).status).toBe(200)
    const running = Array.from({ length: 20 }, scrape)
    await writeFile(world.tokenFile, 'the-next-token')
    kubelet.token = 'the-next-token'
    expect(
      (await Promise.all([...running, ...Array.from({ length: 20 }, scrape)])).map(({ status }) => status),
    ).toEqual(Array.from({ length: 40 }, () => 200))
    expect(kubelet.authorizations.at(-1)).toBe('Bearer the-next-token')
  })

  it('stays in use while its file cannot be read', async () => {
    await using world = await ProxyWorld.start()
    const kubelet = await world.addKubelet('node-1')
    await rm(world.tokenFile)
    kubelet.behaviour = 'unauthorized'
    expect((await world.scrape('127.0.0.1', kubelet.port)).error).toBe('upstream_auth')
    kubelet.behaviour = 'answer'
    expect((await world.scrape('127.0.0.1', kubelet.port)).status).toBe(200)
    expect(JSON.parse(await world.ops('/readyz'))).toMatchObject({
      ready: true,
      notes: { token: expect.stringContaining('ENOENT') as unknown },
    })
    expect(await world.ops('/metrics')).toMatch(/podsonar_proxy_token_age_seconds \d/)
  })

  it.each(['two\nlines', ''])('that no header could carry is never used: %j', async (text) => {
    await using folder = await TemporaryFolder.create('token')
    const file = join(folder.path, 'token')
    await writeFile(file, text)
    await using world = await ProxyWorld.start({ settings: { KUBELET_TOKEN_FILE: file } })
    const kubelet = await world.addKubelet('node-1')
    const answer = await world.scrape('127.0.0.1', kubelet.port)
    expect([answer.status, answer.error]).toEqual([503, 'not_ready'])
    expect(kubelet.accepted).toBe(0)
    await writeFile(file, token)
    await waitFor('the token', async () => (await world.scrape('127.0.0.1', kubelet.port)).status === 200)
  })

  it('is in no metric, page or answer', async () => {
    await using world = await ProxyWorld.start()
    const kubelet = await world.addKubelet('node-1')
    kubelet.behaviour = 'unauthorized'
    await world.scrape('127.0.0.1', kubelet.port)
    for (const path of ['/metrics', '/readyz', '/']) expect(await world.ops(path)).not.toContain(token)
    expect(await world.ops('/')).toContain('does not accept the credentials')
  })
})

describe('the certificate authority', () => {
  it('is read again when a kubelet has a new one, and the old one is no longer accepted', async () => {
    await using folder = await TemporaryFolder.create('ca')
    await using old = await CertificateAuthority.create('old CA')
    await using next = await CertificateAuthority.create('next CA')
    const file = join(folder.path, 'ca.crt')
    await writeFile(file, old.certificate)
    await using world = await ProxyWorld.start({ settings: { KUBELET_CERTIFICATE_AUTHORITY: file } })
    const kubelets = await Promise.all(
      [old, next].map(async (ca, index) => {
        const name = `node-${index}`
        const certificate = await ca.issue({ commonName: name, dns: [name] })
        const address = `127.0.0.${index + 1}`
        const kubelet = world.own(await SimulatedKubelet.start({ address, token, certificate }))
        world.addNode(name, [address], kubelet.port)
        return kubelet
      }),
    )
    const codes = async (): Promise<(string | number)[]> =>
      Promise.all(
        kubelets.map(async ({ address, port }) => {
          const { status, error } = await world.scrape(address, port)
          return error ?? status
        }),
      )
    expect(await codes()).toEqual([200, 'upstream_tls'])
    await writeFile(file, next.certificate)
    await waitFor('the next one to be used', async () => (await codes()).join() === 'upstream_tls,200')
    await writeFile(file, `${old.certificate}${next.certificate}`)
    await waitFor('both to be used', async () => (await codes()).join() === '200,200')
    await writeFile(file, 'nonsense')
    expect(await codes()).toEqual([200, 200])
  })

  it('is replaced under load without a failed scrape', async () => {
    await using folder = await TemporaryFolder.create('ca')
    await using old = await CertificateAuthority.create('old CA')
    await using next = await CertificateAuthority.create('next CA')
    const file = join(folder.path, 'ca.crt')
    /** As Kubernetes replaces mounted files: at once. */
    const replace = async (...authorities: readonly CertificateAuthority[]): Promise<void> => {
      await writeFile(`${file}.new`, authorities.map(({ certificate }) => certificate).join(''))
      await rename(`${file}.new`, file)
    }
    await replace(old)
    await using world = await ProxyWorld.start({ settings: { KUBELET_CERTIFICATE_AUTHORITY: file } })
    const subject = { commonName: 'node-1', dns: ['node-1'] }
    const [before, after] = [await old.issue(subject), await next.issue(subject)]
    const kubelet = world.own(await SimulatedKubelet.start({ token, certificate: before }))
    world.addNode('node-1', ['127.0.0.1'], kubelet.port)

    const outcomes: (string | number)[] = []
    let stopping = false
    const load = Array.from({ length: 4 }, async () => {
      while (!stopping) {
        const { status, error } = await world.scrape('127.0.0.1', kubelet.port)
        outcomes.push(error ?? status)
      }
    })
    const someMore = async (): Promise<void> => {
      const wanted = outcomes.length + 20
      await waitFor('more scrapes', () => outcomes.length >= wanted)
    }
    await someMore()
    await replace(old, next)
    kubelet.renew(after)
    await someMore()
    await replace(next)
    await someMore()
    stopping = true
    await Promise.all(load)
    expect(outcomes.filter((outcome) => outcome !== 200)).toEqual([])

    kubelet.renew(before)
    await waitFor('the old one to be refused', async () => {
      return (await world.scrape('127.0.0.1', kubelet.port)).error === 'upstream_tls'
    })
  })
})

describe('a client certificate', () => {
  it('is shown to kubelets instead of a token, and renewed', async () => {
    await using ca = await CertificateAuthority.create()
    await using folder = await TemporaryFolder.create('client')
    const [certificateFile, keyFile] = [join(folder.path, 'tls.crt'), join(folder.path, 'tls.key')]
    const show = async (user: string): Promise<void> => {
      const { certificate, key } = await ca.issue({ commonName: user })
      await Promise.all([writeFile(certificateFile, certificate), writeFile(keyFile, key)])
    }
    await show('first')
    await using world = await ProxyWorld.start({
      settings: {
        KUBELET_TOKEN_FILE: '',
        KUBELET_CLIENT_CERTIFICATE: certificateFile,
        KUBELET_CLIENT_KEY: keyFile,
      },
    })
    const own = await world.ca.issue({ commonName: 'node-1', dns: ['node-1'] })
    let wanted = 'first'
    const seen: (string | undefined)[] = []
    const options = { cert: own.certificate, key: own.key, ca: ca.certificate, requestCert: true }
    const server = createServer({ ...options, rejectUnauthorized: false }, (request, response) => {
      const { socket } = request
      seen.push(request.headers.authorization)
      const right =
        socket instanceof TLSSocket && socket.authorized && socket.getPeerCertificate().subject.CN === wanted
      response.writeHead(right ? 200 : 401).end('a 1\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    world.addNode('node-1', ['127.0.0.1'], port)
    expect((await world.scrape('127.0.0.1', port)).status).toBe(200)
    wanted = 'second'
    expect((await world.scrape('127.0.0.1', port)).error).toBe('upstream_auth')
    await show('second')
    expect((await world.scrape('127.0.0.1', port)).status).toBe(200)
    expect(seen.every((authorization) => authorization === undefined)).toBe(true)
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
})
