import { request } from 'node:https'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { SimulatedKubelet } from '../../../lab/kubelet.ts'

describe('the simulated kubelet', () => {
  const owned = new AsyncDisposableStack()
  let ca: CertificateAuthority
  let kubelet: SimulatedKubelet

  beforeAll(async () => {
    ca = owned.use(await CertificateAuthority.create())
    const certificate = await ca.issue({ commonName: 'node-1', dns: ['node-1'] })
    kubelet = owned.use(await SimulatedKubelet.start({ token: 'right', certificate }))
  })
  afterAll(() => owned.disposeAsync())

  const get = (headers: Record<string, string>, servername = 'node-1') =>
    new Promise<{ status: number | undefined; headers: Record<string, unknown>; body: Buffer }>(
      (resolve, reject) => {
        const options = { port: kubelet.port, path: '/metrics/cadvisor', servername, ca: ca.certificate }
        request({ host: '127.0.0.1', ...options, headers }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            resolve({
              status: response.statusCode,
              headers: response.headers,
              body: Buffer.concat(chunks),
            })
          })
        })
          .on('error', reject)
          .end()
      },
    )

  test('serves the recorded page to the right token, compressed when asked', async () => {
    kubelet.behaviour = 'answer'
    const plain = await get({ authorization: 'Bearer right' })
    expect(plain.status).toBe(200)
    expect(plain.body.toString()).toContain('cadvisor_version_info{')
    const packed = await get({ authorization: 'Bearer right', 'accept-encoding': 'gzip' })
    expect(packed.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(packed.body).equals(plain.body)).toBe(true)
  })

  test('refuses a wrong token and remembers what came', async () => {
    const refused = await get({ authorization: 'Bearer wrong' })
    expect(refused).toMatchObject({ status: 401, body: Buffer.from('Unauthorized') })
    expect(kubelet.authorizations.at(-1)).toBe('Bearer wrong')
  })

  test('has a certificate for its name only', async () => {
    await expect(get({ authorization: 'Bearer right' }, 'other')).rejects.toThrow(/altnames/)
  })

  test('dies in the middle of the page when told to', async () => {
    kubelet.behaviour = 'die'
    await expect(get({ authorization: 'Bearer right' })).rejects.toThrow(/aborted|hang up|reset/i)
  })
})
