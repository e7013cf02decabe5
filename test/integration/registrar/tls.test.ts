import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { freePorts } from '../../../lab/ports.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { consulConnection, type ConsulSettings } from '../../../src/registrar/consul/connect.ts'
import { ConsulHttp } from '../../../src/registrar/consul/http.ts'
import { describeWith } from '../../setup/needs.ts'
import { agentServices, readyz, registrarSettings, untilReady } from '../../support/registrar.ts'

describeWith(['consul'], 'a Consul behind TLS', () => {
  it('is spoken to with our certificate, verified by its authority and name', async () => {
    await using authority = await CertificateAuthority.create()
    const server = await authority.issue({ commonName: 'consul', dns: ['server.dc1.consul'] })
    const own = await authority.issue({ commonName: 'podsonar' })
    const [http = 0, https = 0, rpc = 0, lan = 0, wan = 0] = await freePorts(5)
    await using consul = await Consul.start({
      httpPort: http,
      config: {
        ports: { http, https, server: rpc, serf_lan: lan, serf_wan: wan, dns: -1, grpc: -1 },
        ca_file: authority.certificateFile,
        cert_file: server.certificateFile,
        key_file: server.keyFile,
        verify_incoming_https: true,
      },
    })
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    const trusted = {
      ...(await registrarSettings(consul, kubernetes)),
      CONSUL_ADDRESS: `127.0.0.1:${https}`,
      CONSUL_HTTP_SSL: 'true',
      CONSUL_CACERT: authority.certificateFile,
      CONSUL_TLS_SERVER_NAME: 'server.dc1.consul',
    }
    const client = { CONSUL_CLIENT_CERT: own.certificateFile, CONSUL_CLIENT_KEY: own.keyFile }
    await using program = await Program.start(['registrar'], { ...trusted, ...client })
    await untilReady(program)
    expect((await agentServices(consul)).size).toBe(1)

    for (const [settings, reason] of [
      [trusted, /no answer from Consul/],
      [{ ...trusted, ...client, CONSUL_TLS_SERVER_NAME: 'other' }, /ERR_TLS_CERT_ALTNAME_INVALID/],
      [{ ...trusted, ...client, CONSUL_CACERT: own.certificateFile }, /UNABLE_TO|SELF_SIGNED/],
    ] as const) {
      await using refused = await Program.start(['registrar'], settings)
      const found = await waitFor('the reason', async () => (await readyz(refused)).reasons['consul'])
      expect(found).toMatch(reason)
    }
    const lax = { ...trusted, ...client, CONSUL_TLS_SERVER_NAME: 'other', CONSUL_HTTP_SSL_VERIFY: 'false' }
    await using unverified = await Program.start(['registrar'], { ...lax, DRY_RUN: 'true', ONCE: 'true' })
    expect(await unverified.process.exited).toEqual({ code: 0, signal: null })
  })

  it('half a client certificate is an error that says so', async () => {
    await using authority = await CertificateAuthority.create()
    await using kubernetes = await SimulatedKubernetes.start()
    const settings = await registrarSettings({ url: 'http://127.0.0.1:1' }, kubernetes, {
      CONSUL_CLIENT_CERT: authority.certificateFile,
    })
    await using program = await Program.start(['registrar'], settings)
    expect(await program.process.exited).toEqual({ code: 2, signal: null })
    expect(program.process.stderr).toContain('expected both or neither')
  })
})

describe('every call to Consul', () => {
  it('carries namespace, partition, datacenter, token and credentials', async () => {
    const seen: { url: string; headers: IncomingHttpHeaders }[] = []
    const server = createServer((request, response) => {
      seen.push({ url: request.url ?? '', headers: request.headers })
      response.setHeader('content-type', 'application/json').end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const settings: ConsulSettings = {
      consulAddress: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      consulToken: 'a-token',
      consulTokenFile: undefined,
      consulAuth: 'user:pass',
      consulSsl: false,
      consulSslVerify: true,
      consulCaCert: undefined,
      consulCaPath: undefined,
      consulClientCert: undefined,
      consulClientKey: undefined,
      consulTlsServerName: undefined,
      consulNamespace: 'team',
      consulPartition: 'part',
      consulDatacenter: 'dc9',
    }
    const options = { act: 'test', rule: 'none', signal: new AbortController().signal }
    using consul = new ConsulHttp(consulConnection(settings))
    await consul.get('/agent/self', options)
    await consul.stream('/agent/services', options, () => undefined)
    await consul.transaction([{}], options)
    await consul.call(options, (common) => consul.client.agent.service.deregister({ ...common, id: 'x' }))
    server.close()
    server.closeAllConnections()
    expect(seen).toHaveLength(4)
    for (const { url, headers } of seen) {
      expect(headers).toMatchObject({
        'x-consul-token': 'a-token',
        'x-consul-namespace': 'team',
        'x-consul-partition': 'part',
        authorization: `Basic ${Buffer.from('user:pass').toString('base64')}`,
      })
      expect(url).toContain('dc=dc9')
    }
  })
})
