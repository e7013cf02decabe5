import { commonSettings, kubernetesSettings } from './common-settings.ts'
import { listenPort } from './format.ts'
import { setting, type Values } from './setting.ts'

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
}

export type ProxyConfig = Values<typeof proxySettings>
