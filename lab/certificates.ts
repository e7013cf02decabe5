/** Certificates for tests, benchmarks and the demo, made by the openssl program. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TemporaryFolder } from './files.ts'
import { run } from './process.ts'

/** PEM texts, and the files that hold them. */
export interface Certificate {
  readonly certificate: string
  readonly key: string
  readonly certificateFile: string
  readonly keyFile: string
}

export interface CertificateRequest {
  /** The subject's common name; for client certificates the user. */
  readonly commonName: string
  /** DNS names it is valid for. @default none */
  readonly dns?: readonly string[]
  /** IP addresses it is valid for. @default none */
  readonly ips?: readonly string[]
  /** The subject's organisation: the group of a Kubernetes client certificate. */
  readonly organisation?: string
  /** Days it is valid from now. @default 2 */
  readonly days?: number
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** A certificate authority of its own folder, which disposing removes with all that it issued. */
export class CertificateAuthority implements AsyncDisposable {
  /** PEM. */
  readonly certificate: string
  readonly certificateFile: string
  readonly #folder: TemporaryFolder
  #issued = 0

  private constructor(folder: TemporaryFolder, certificate: string) {
    this.#folder = folder
    this.certificate = certificate
    this.certificateFile = join(folder.path, 'ca.crt')
  }

  static async create(commonName = 'podsonar lab CA'): Promise<CertificateAuthority> {
    const folder = await TemporaryFolder.create('ca')
    await run('openssl', [
      ...['req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=${commonName}`],
      ...['-keyout', join(folder.path, 'ca.key'), '-out', join(folder.path, 'ca.crt')],
      ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ])
    return new CertificateAuthority(folder, await readFile(join(folder.path, 'ca.crt'), 'utf8'))
  }

  /** Issues a certificate for servers and clients alike. */
  async issue({
    commonName,
    dns = [],
    ips = [],
    organisation,
    days = 2,
  }: CertificateRequest): Promise<Certificate> {
    this.#issued += 1
    const file = join(this.#folder.path, `issued-${this.#issued}`)
    const certificateFile = `${file}.crt`
    const keyFile = `${file}.key`
    const names = [...dns.map((name) => `DNS:${name}`), ...ips.map((ip) => `IP:${ip}`)]
    const subject = `${organisation === undefined ? '' : `/O=${organisation}`}/CN=${commonName}`
    const request = `${file}.csr`
    await run('openssl', ['req', '-new', ...newKey, '-subj', subject, '-keyout', keyFile, '-out', request])
    const extensions = [
      'basicConstraints=CA:FALSE',
      'extendedKeyUsage=serverAuth,clientAuth',
      ...(names.length === 0 ? [] : [`subjectAltName=${names.join(',')}`]),
    ]
    await writeFile(`${file}.ext`, extensions.join('\n'))
    await run('openssl', [
      ...['x509', '-req', '-in', request, '-days', String(days), '-extfile', `${file}.ext`],
      ...['-CA', this.certificateFile, '-CAkey', join(this.#folder.path, 'ca.key'), '-CAcreateserial'],
      ...['-out', certificateFile],
    ])
    return {
      certificate: await readFile(certificateFile, 'utf8'),
      key: await readFile(keyFile, 'utf8'),
      certificateFile,
      keyFile,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]()
  }
}
