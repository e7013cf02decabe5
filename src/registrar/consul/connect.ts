import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeError, SettingsError } from '../../common/errors.ts'
import type { ConsulConnection, ConsulTls } from './http.ts'
import { tokenSource } from './token.ts'

/** The settings of the connection, in Consul's own variables. */
export interface ConsulSettings {
  /** A URL without a path. */
  readonly consulAddress: string
  readonly consulToken: string | undefined
  readonly consulTokenFile: string | undefined
  readonly consulAuth: string | undefined
  readonly consulSsl: boolean
  readonly consulSslVerify: boolean
  readonly consulCaCert: string | undefined
  readonly consulCaPath: string | undefined
  readonly consulClientCert: string | undefined
  readonly consulClientKey: string | undefined
  readonly consulTlsServerName: string | undefined
  readonly consulNamespace: string | undefined
  readonly consulPartition: string | undefined
  readonly consulDatacenter: string | undefined
}

/** @throws SettingsError when certificates cannot be read or do not go together */
export function consulConnection(settings: ConsulSettings): ConsulConnection {
  const url = new URL(settings.consulAddress)
  if (settings.consulSsl) url.protocol = 'https:'
  return {
    url,
    token: tokenSource(settings.consulToken, settings.consulTokenFile),
    basicAuth: settings.consulAuth,
    tls: tlsOptions(settings),
    datacenter: settings.consulDatacenter,
    namespace: settings.consulNamespace,
    partition: settings.consulPartition,
  }
}

function tlsOptions(settings: ConsulSettings): ConsulTls {
  const { consulCaCert, consulCaPath, consulClientCert, consulClientKey, consulTlsServerName } = settings
  if ((consulClientCert === undefined) !== (consulClientKey === undefined)) {
    throw new SettingsError([
      'CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY: one is set, expected both or neither',
    ])
  }
  const authorities = [
    ...(consulCaCert === undefined ? [] : [read('CONSUL_CACERT', consulCaCert)]),
    ...(consulCaPath === undefined
      ? []
      : readdirSync(consulCaPath)
          .filter((name) => /\.(pem|crt|cer)$/.test(name))
          .map((name) => read('CONSUL_CAPATH', join(consulCaPath, name)))),
  ]
  return {
    rejectUnauthorized: settings.consulSslVerify,
    ...(authorities.length === 0 ? {} : { ca: authorities }),
    ...(consulClientCert === undefined ? {} : { cert: read('CONSUL_CLIENT_CERT', consulClientCert) }),
    ...(consulClientKey === undefined ? {} : { key: read('CONSUL_CLIENT_KEY', consulClientKey) }),
    ...(consulTlsServerName === undefined ? {} : { servername: consulTlsServerName }),
  }
}

function read(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new SettingsError([`${variable}: expected a readable PEM file: ${describeError(error)}`])
  }
}

/** Whether a host is this machine: an agent beside us, not a server shared with other clusters. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)
}
