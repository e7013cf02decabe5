import { flag, folder, listenPort, matching, oneOf, readableFile, text, type Format } from './format.ts'
import { optional, setting } from './setting.ts'

/** `host:port` or a URL, as a URL without a path. */
const consulUrl: Format<string> = {
  name: 'address',
  accepts: 'host:port, an http:// or https:// URL without a path, or embedded',
  parse: (value) => {
    if (value === 'embedded') return value
    const withScheme = /^[a-z]+:\/\//i.test(value) ? value : `http://${value}`
    if (!URL.canParse(withScheme)) return undefined
    const url = new URL(withScheme)
    const plain = url.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
    if (!plain || !['http:', 'https:'].includes(url.protocol)) return undefined
    // host:port without a port, as Consul itself takes it: its default one.
    if (!/:\d+\/?$/.test(withScheme) && withScheme !== value) url.port = '8500'
    return url.origin
  },
}

/** How Consul is reached: Consul's own variables, and what is ours. */
export const consulSettings = {
  consulAddress: setting({
    env: 'CONSUL_ADDRESS',
    doc: "Consul's HTTP API, mostly that of an agent in the same pod; `embedded`: no Consul, the registrar itself serves what consul_sd reads.",
    format: consulUrl,
    default: 'http://127.0.0.1:8500',
    defaultDoc: '127.0.0.1:8500',
  }),
  consulBackend: setting({
    env: 'CONSUL_BACKEND',
    doc: 'agent: services of the agent at CONSUL_ADDRESS. catalog: services of an external node of the catalog, much faster, and independent of any agent.',
    format: oneOf('agent', 'catalog'),
    default: 'agent',
  }),
  consulListen: setting({
    env: 'CONSUL_LISTEN',
    doc: 'The port on which `CONSUL_ADDRESS=embedded` answers what consul_sd reads.',
    format: listenPort,
    default: 8500,
  }),
  consulToken: optional({
    env: 'CONSUL_HTTP_TOKEN',
    doc: 'The ACL token.',
    format: text,
    sensitive: true,
  }),
  consulTokenFile: optional({
    env: 'CONSUL_HTTP_TOKEN_FILE',
    doc: 'A file with the ACL token; read again every 10 s. Wins over CONSUL_HTTP_TOKEN.',
    format: readableFile,
  }),
  consulAuth: optional({
    env: 'CONSUL_HTTP_AUTH',
    doc: 'User and password for a proxy in front of Consul, as `user:password`.',
    format: matching('credentials', /^[^:]+:.*$/, 'user:password'),
    sensitive: true,
  }),
  consulSsl: setting({
    env: 'CONSUL_HTTP_SSL',
    doc: 'Speak HTTPS to Consul, whatever the scheme of CONSUL_ADDRESS.',
    format: flag,
    default: false,
  }),
  consulSslVerify: setting({
    env: 'CONSUL_HTTP_SSL_VERIFY',
    doc: "Verify Consul's certificate.",
    format: flag,
    default: true,
  }),
  consulCaCert: optional({
    env: 'CONSUL_CACERT',
    doc: 'PEM file of the authority that signed the certificate of Consul.',
    format: readableFile,
  }),
  consulCaPath: optional({
    env: 'CONSUL_CAPATH',
    doc: 'Folder of such files (.pem, .crt, .cer).',
    format: folder,
  }),
  consulClientCert: optional({
    env: 'CONSUL_CLIENT_CERT',
    doc: 'PEM file of our certificate, where Consul asks for one.',
    format: readableFile,
  }),
  consulClientKey: optional({
    env: 'CONSUL_CLIENT_KEY',
    doc: 'PEM file of its key.',
    format: readableFile,
  }),
  consulTlsServerName: optional({
    env: 'CONSUL_TLS_SERVER_NAME',
    doc: 'The name that the certificate of Consul has to show.',
    defaultDoc: 'the host of CONSUL_ADDRESS',
    format: text,
  }),
  consulNamespace: optional({
    env: 'CONSUL_NAMESPACE',
    doc: 'Consul Enterprise: the namespace.',
    format: text,
  }),
  consulPartition: optional({
    env: 'CONSUL_PARTITION',
    doc: 'Consul Enterprise: the partition.',
    format: text,
  }),
  consulDatacenter: optional({
    env: 'CONSUL_DATACENTER',
    doc: 'The datacenter whose catalog is written. An agent keeps what it is given in its own.',
    defaultDoc: "that of the agent's",
    format: text,
  }),
}
