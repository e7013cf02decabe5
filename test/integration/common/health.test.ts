import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { run } from '../../../lab/process.ts'
import { entry, Program } from '../../../lab/program.ts'
import { askHealth } from '../../../src/common/web/health.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import { sendText } from '../../../src/common/web/reply.ts'
import { WebServer } from '../../../src/common/web/server.ts'

const loopback = '127.0.0.1'
const listen = (status: number, webConfigFile?: string): Promise<WebServer> =>
  WebServer.listen({
    ...{ setting: 'PORT', port: 0, address: loopback, webConfigFile, openPaths: ['/healthz'] },
    log: silentLogger,
    handler: (_request, response) => {
      sendText(response, status, 'text/plain', 'said')
    },
  })
const ask = (port: number, mayHaveTls: boolean): Promise<void> =>
  askHealth({ address: loopback, port, mayHaveTls })

describe('podsonar healthcheck', () => {
  it('asks with and without TLS, where the server has it and wants to know its clients', async () => {
    await using ca = await CertificateAuthority.create()
    await using folder = await TemporaryFolder.create('health')
    const own = await ca.issue({ commonName: 'server', ips: ['10.0.0.1'] })
    const file = join(folder.path, 'web.yml')
    const tls = `cert_file: ${own.certificateFile}, key_file: ${own.keyFile}`
    const clients = `client_auth_type: RequireAndVerifyClientCert, client_ca_file: ${ca.certificateFile}`
    await writeFile(file, `tls_server_config: { ${tls}, ${clients} }`)
    await using secured = await listen(200, file)
    await ask(secured.port, true)
    await expect(ask(secured.port, false)).rejects.toMatchObject({ code: 'not_healthy' })
    await using plain = await listen(200)
    await ask(plain.port, false)
    await ask(plain.port, true)
  })

  it('tells what is wrong: another answer, none, nobody there', async () => {
    await using ill = await listen(503)
    await expect(ask(ill.port, false)).rejects.toThrow(/the answer was 503, expected 200/)
    const silent = createServer().listen(0, loopback)
    const { port } = await new Promise<{ port: number }>((resolve) =>
      silent.on('listening', () => {
        resolve(silent.address() as { port: number })
      }),
    )
    try {
      await expect(ask(port, false)).rejects.toThrow(/no answer within 5000 ms/)
    } finally {
      silent.close()
    }
    await expect(ask(port, true)).rejects.toThrow(/ECONNREFUSED.*;.*ECONNREFUSED/)
  })

  it('asks the mode that is named, at the port that it was given', async () => {
    await using exporter = await Program.start(['exporter'], { COLLECTORS: 'sockstat' })
    const { port } = new URL(await exporter.url())
    await run(entry, ['healthcheck', 'exporter', '--port', port])
    await exporter.process[Symbol.asyncDispose]()
    await expect(run(entry, ['healthcheck', 'exporter', '--port', port])).rejects.toThrow(
      /Cannot get \/healthz/,
    )
  })
})
