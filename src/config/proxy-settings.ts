import { commonSettings, kubernetesSettings } from './common-settings.ts'
import { flag, integer, listenPort, list, oneOf, readableFile } from './format.ts'
import { optional, setting, type Values } from './setting.ts'

/** Settings of MODE=proxy. */
export const proxySettings = {
  ...commonSettings,
  ...kubernetesSettings,
  port: setting({
    env: 'PORT',
    doc: 'The port of the scrape routes, and of nothing else.',
    format: listenPort,
    default: 8080,
  }),
  opsPort: setting({
    env: 'OPS_PORT',
    doc: 'The port of /metrics, /healthz, /readyz and the page.',
    format: listenPort,
    default: 8081,
  }),
  proxyPaths: setting({
    env: 'PROXY_PATHS',
    doc: "Comma-separated kubelet paths that may be scraped besides /metrics/cadvisor, under each node's address.",
    format: list(oneOf('/metrics/cadvisor', '/metrics', '/metrics/resource', '/metrics/probes')),
    default: [],
    defaultDoc: 'only /metrics/cadvisor',
  }),
  podProxy: setting({
    env: 'POD_PROXY',
    doc: 'Serve /api/v1/namespaces/<namespace>/pods/<pod>:<port>/<path> too, for the pods that the registrar would register; needs the right to list and watch pods.',
    format: flag,
    default: false,
  }),
  kubeletCertificateAuthority: optional({
    env: 'KUBELET_CERTIFICATE_AUTHORITY',
    doc: "The file of the certificate authority that kubelets' certificates are verified with; read again when it changes.",
    defaultDoc: "the service account's ca.crt",
    format: readableFile,
  }),
  kubeletInsecureTls: setting({
    env: 'KUBELET_INSECURE_TLS',
    doc: 'Do not verify kubelets: whoever answers at the address of a node gets the token.',
    format: flag,
    default: false,
  }),
  kubeletTokenFile: optional({
    env: 'KUBELET_TOKEN_FILE',
    doc: 'The file of the bearer token for kubelets; read again every minute and when a kubelet refuses it.',
    defaultDoc: "the service account's token",
    format: readableFile,
  }),
  kubeletClientCertificate: optional({
    env: 'KUBELET_CLIENT_CERTIFICATE',
    doc: 'The file of a certificate that kubelets are shown instead of a token; read again when it changes.',
    format: readableFile,
  }),
  kubeletClientKey: optional({
    env: 'KUBELET_CLIENT_KEY',
    doc: 'The file of the key of KUBELET_CLIENT_CERTIFICATE.',
    format: readableFile,
  }),
  loopbackNodes: setting({
    env: 'LOOPBACK_NODES',
    doc: 'Let nodes with loopback addresses be scraped: for trying podsonar out on one machine.',
    format: flag,
    default: false,
  }),
  scrapeTimeoutSeconds: setting({
    env: 'SCRAPE_TIMEOUT',
    doc: 'Seconds that a scrape may take when the client does not say (X-Prometheus-Scrape-Timeout-Seconds).',
    format: integer(1, 300),
    default: 10,
  }),
  maxScrapeTimeoutSeconds: setting({
    env: 'MAX_SCRAPE_TIMEOUT',
    doc: 'Seconds that a scrape may take at most, whatever the client says.',
    format: integer(1, 300),
    default: 60,
  }),
  scrapeMarginMs: setting({
    env: 'SCRAPE_TIMEOUT_MARGIN_MS',
    doc: 'Milliseconds by which a scrape ends before its client gives up, so that it hears why.',
    format: integer(0, 10_000),
    default: 500,
  }),
  maxScrapeBytes: setting({
    env: 'MAX_SCRAPE_BYTES',
    doc: 'Bytes that one answer may have, compressed where it is; a longer one is cut, and the client sees a broken connection.',
    format: integer(1_024, 1_073_741_824),
    default: 67_108_864,
  }),
  maxInFlight: setting({
    env: 'MAX_IN_FLIGHT',
    doc: 'Scrapes that may run at once; more are told to come again (503).',
    format: integer(1, 10_000),
    default: 500,
  }),
  maxInFlightPerNode: setting({
    env: 'MAX_IN_FLIGHT_PER_NODE',
    doc: 'Scrapes of one node that may run at once.',
    format: integer(1, 1_000),
    default: 8,
  }),
}

export type ProxyConfig = Values<typeof proxySettings>

/** Settings that exclude or need each other, a sentence for each conflict. */
export function proxyConflicts(config: ProxyConfig): string[] {
  const { kubeletCertificateAuthority, kubeletInsecureTls, kubeletTokenFile } = config
  const { kubeletClientCertificate, kubeletClientKey } = config
  const problems: string[] = []
  if (kubeletInsecureTls && kubeletCertificateAuthority !== undefined)
    problems.push(
      'KUBELET_INSECURE_TLS: expected false or unset with KUBELET_CERTIFICATE_AUTHORITY: value was "true" (an authority that verifies nothing is a mistake)',
    )
  if ((kubeletClientCertificate === undefined) !== (kubeletClientKey === undefined))
    problems.push(
      `${kubeletClientKey === undefined ? 'KUBELET_CLIENT_KEY' : 'KUBELET_CLIENT_CERTIFICATE'}: expected it too: only the other of KUBELET_CLIENT_CERTIFICATE and KUBELET_CLIENT_KEY was given`,
    )
  if (kubeletClientCertificate !== undefined && kubeletTokenFile !== undefined)
    problems.push(
      `KUBELET_TOKEN_FILE: expected it unset with KUBELET_CLIENT_CERTIFICATE, which replaces the token: value was ${JSON.stringify(kubeletTokenFile)}`,
    )
  return problems
}
