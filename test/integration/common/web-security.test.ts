import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { OutgoingHttpHeaders } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { hashSync } from 'bcryptjs'
import { describe, expect, it } from 'vitest'
import { CertificateAuthority, type Certificate } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import { sendText } from '../../../src/common/web/reply.ts'
import { WebServer } from '../../../src/common/web/server.ts'
import { ProxyWorld, token } from '../../support/proxy-world.ts'

const hash = hashSync('right', 4)
const basic = (user: string, password: string): OutgoingHttpHeaders => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

async function listen(webConfigFile: string): Promise<WebServer> {
  return WebServer.listen({
    setting: 'PORT',
    port: 0,
    address: '127.0.0.1',
    webConfigFile,
    openPaths: ['/healthz'],
    log: silentLogger,
    handler: (_request, response) => {
      sendText(response, 200, 'text/plain', 'ok')
    },
  })
}

interface Call {
  readonly path?: string
  readonly headers?: OutgoingHttpHeaders
  readonly client?: Certificate
}

/** The status of one request on a connection of its own. */
function status(
  port: number,
  ca: CertificateAuthority,
  { path = '/', headers = {}, client }: Call = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ maxCachedSessions: 0 })
    const own = client === undefined ? {} : { cert: client.certificate, key: client.key }
    const options = { host: '127.0.0.1', port, path, headers, agent, ca: ca.certificate, ...own }
    httpsRequest(options, (response) => {
      response.resume()
      response.on('end', () => {
        resolve(response.statusCode ?? 0)
      })
    })
      .on('error', reject)
      .end()
  })
}

describe('WEB_CONFIG_FILE', () => {
  it('asks for users, and keeps the probes open', async () => {
    await using folder = await TemporaryFolder.create('web')
    const file = join(folder.path, 'web.yml')
    const headers = 'http_server_config: { headers: { X-Frame-Options: deny } }'
    await writeFile(file, `basic_auth_users: { alice: "${hash}" }\n${headers}`)
    await using server = await listen(file)
    const url = `http://127.0.0.1:${server.port}`
    const ask = async (path: string, given?: OutgoingHttpHeaders): Promise<Response> =>
      fetch(url + path, { headers: given as Record<string, string> })
    const refused = await ask('/')
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringContaining('Basic'),
    ])
    expect(await refused.json()).toMatchObject({ error: 'unauthorized' })
    expect(refused.headers.get('x-frame-options')).toBe('deny')
    expect((await ask('/', basic('alice', 'right'))).status).toBe(200)
    for (const wrong of [
      basic('alice', 'wrong'),
      basic('alice', ''),
      basic('', 'right'),
      basic('bob', 'right'),
      { authorization: 'Bearer right' },
      { authorization: 'Basic %%%' },
      { authorization: 'Basic' },
    ])
      expect((await ask('/', wrong)).status).toBe(401)
    expect((await ask('/healthz')).status).toBe(200)
    expect((await ask('/healthz/../')).status).toBe(401)
    expect((await ask('//healthz')).status).toBe(401)
  })

  it('asks for client certificates, and keeps the probes open', async () => {
    await using ca = await CertificateAuthority.create()
    await using other = await CertificateAuthority.create('another CA')
    await using folder = await TemporaryFolder.create('web')
    const own = await ca.issue({ commonName: 'server', ips: ['127.0.0.1'] })
    const clients = {
      none: undefined,
      right: await ca.issue({ commonName: 'a', dns: ['prometheus.example'] }),
      unnamed: await ca.issue({ commonName: 'prometheus.example' }),
      foreign: await other.issue({ commonName: 'a', dns: ['prometheus.example'] }),
    }
    const statuses = async (type: string, more = ''): Promise<number[]> => {
      const file = join(folder.path, `${type}.yml`)
      const tls = `cert_file: ${own.certificateFile}, key_file: ${own.keyFile}`
      await writeFile(file, `tls_server_config: { ${tls}, client_auth_type: ${type}${more} }`)
      await using server = await listen(file)
      expect(await status(server.port, ca, { path: '/healthz' })).toBe(200)
      return await Promise.all(
        Object.values(clients).map((client) =>
          status(server.port, ca, client === undefined ? {} : { client }),
        ),
      )
    }
    const authority = `, client_ca_file: ${ca.certificateFile}`
    expect(await statuses('NoClientCert')).toEqual([200, 200, 200, 200])
    expect(await statuses('RequestClientCert')).toEqual([200, 200, 200, 200])
    expect(await statuses('RequireAnyClientCert')).toEqual([401, 200, 200, 200])
    expect(await statuses('VerifyClientCertIfGiven', authority)).toEqual([200, 200, 200, 401])
    expect(await statuses('RequireAndVerifyClientCert', authority)).toEqual([401, 200, 200, 401])
    const named = `${authority}, client_allowed_sans: [prometheus.example]`
    expect(await statuses('RequireAndVerifyClientCert', named)).toEqual([401, 200, 401, 401])
    const allowed = ', client_allowed_sans: [prometheus.example]'
    expect(await statuses('RequireAnyClientCert', allowed)).toEqual([401, 200, 401, 200])
  })

  it('follows changes of the file and of what it names, and keeps the last good one', async () => {
    await using ca = await CertificateAuthority.create()
    await using next = await CertificateAuthority.create('next CA')
    await using folder = await TemporaryFolder.create('web')
    const file = join(folder.path, 'web.yml')
    const show = async (authority: CertificateAuthority): Promise<void> => {
      const { certificate, key } = await authority.issue({ commonName: 'server', ips: ['127.0.0.1'] })
      await writeFile(join(folder.path, 'tls.crt'), certificate)
      await writeFile(join(folder.path, 'tls.key'), key)
    }
    await show(ca)
    // Relative to the folder of the file.
    const tls = 'cert_file: tls.crt, key_file: tls.key'
    await writeFile(file, `tls_server_config: { ${tls} }\nbasic_auth_users: { alice: "${hash}" }`)
    await using server = await listen(file)
    const headers = basic('alice', 'right')
    expect(await status(server.port, ca, { headers })).toBe(200)

    await show(next)
    await waitFor('the next certificate', async () => (await status(server.port, next, { headers })) === 200)
    await writeFile(file, 'nonsense: true')
    await expect(status(server.port, ca, { headers })).rejects.toThrow()
    const strict = `client_auth_type: RequireAndVerifyClientCert, client_ca_file: ${next.certificateFile}`
    await writeFile(file, `tls_server_config: { ${tls}, ${strict} }`)
    await waitFor(
      'client certificates to be asked for',
      async () => (await status(server.port, next, { headers })) === 401,
    )
    const client = await next.issue({ commonName: 'client' })
    expect(await status(server.port, next, { client })).toBe(200)
  })

  it('stops in time while somebody connects and says nothing', async () => {
    await using folder = await TemporaryFolder.create('web')
    await using ca = await CertificateAuthority.create()
    const { certificateFile, keyFile } = await ca.issue({ commonName: 'server', ips: ['127.0.0.1'] })
    const file = join(folder.path, 'web.yml')
    await writeFile(file, `tls_server_config: { cert_file: ${certificateFile}, key_file: ${keyFile} }`)
    await using server = await listen(file)
    const mute = connectTcp(server.port, '127.0.0.1')
    mute.on('error', () => undefined)
    await once(mute, 'connect')
    // So that the server has accepted it, too.
    expect(await status(server.port, ca, { path: '/healthz' })).toBe(200)
    const before = performance.now()
    await server[Symbol.asyncDispose]()
    // The handshake alone may take 10 s, which is all that a program has to stop.
    expect(performance.now() - before).toBeLessThan(9_000)
    mute.destroy()
  })

  it('speaks no TLS below its min_version', async () => {
    await using ca = await CertificateAuthority.create()
    await using folder = await TemporaryFolder.create('web')
    const own = await ca.issue({ commonName: 'server', ips: ['127.0.0.1'] })
    const file = join(folder.path, 'web.yml')
    const tls = `cert_file: ${own.certificateFile}, key_file: ${own.keyFile}, min_version: TLS13`
    await writeFile(file, `tls_server_config: { ${tls} }`)
    await using server = await listen(file)
    const secured = (maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = connect({ host: '127.0.0.1', port: server.port, ca: ca.certificate, maxVersion })
        socket.on('secureConnect', () => {
          socket.destroy()
          resolve(true)
        })
        socket.on('error', () => {
          resolve(false)
        })
      })
    expect([await secured('TLSv1.2'), await secured('TLSv1.3')]).toEqual([false, true])
  })

  it('lets so many requests pass and no more, probes not counted', async () => {
    await using folder = await TemporaryFolder.create('web')
    const file = join(folder.path, 'web.yml')
    await writeFile(file, 'rate_limit: { interval: 1h, burst: 2 }')
    await using server = await listen(file)
    const ask = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${server.port}${path}`)
    const paths = ['/', '/healthz', '/', '/', '/healthz']
    const answers: Response[] = []
    for (const path of paths) answers.push(await ask(path))
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 429, 200])
    expect(await answers[3]?.json()).toMatchObject({ error: 'rate_limited' })
  })

  it('that cannot be used is one clear error', async () => {
    await using folder = await TemporaryFolder.create('web')
    const file = join(folder.path, 'web.yml')
    await writeFile(file, 'tls_server_config: { cert_file: gone.crt, key_file: gone.key }')
    await using program = await Program.start(['exporter'], { WEB_CONFIG_FILE: file, NODE_NAME: 'n' })
    expect((await program.process.exited).code).toBe(2)
    expect(program.process.stderr).toContain('WEB_CONFIG_FILE: cannot use')
    expect(program.process.stderr).toContain('gone.crt')
  })

  it("protects the proxy's scrape routes: no kubelet hears of a request without a user", async () => {
    await using folder = await TemporaryFolder.create('web')
    const file = join(folder.path, 'web.yml')
    await writeFile(file, `basic_auth_users: { alice: "${hash}" }`)
    await using world = await ProxyWorld.start({ settings: { WEB_CONFIG_FILE: file } })
    const kubelet = await world.addKubelet('node-1')
    const refused = await world.scrape('127.0.0.1', kubelet.port)
    expect([refused.status, refused.error, kubelet.accepted]).toEqual([401, 'unauthorized', 0])
    const answer = await world.scrape('127.0.0.1', kubelet.port, { headers: basic('alice', 'right') })
    expect(answer.status).toBe(200)
    expect(kubelet.authorizations).toEqual([`Bearer ${token}`])
  })
})
