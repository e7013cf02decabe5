import { integer, list, listenPort, matching, port, text } from './format.ts'
import { commonSettings, kubernetesSettings } from './common-settings.ts'
import { optional, setting, type Values } from './setting.ts'

/** Settings of MODE=registrar. */
export const registrarSettings = {
  ...commonSettings,
  ...kubernetesSettings,
  port: setting({
    env: 'PORT',
    doc: 'The port of /metrics, /healthz, /readyz, /sd/http and the page.',
    format: listenPort,
    default: 8081,
  }),
  clusterName: optional({
    env: 'CLUSTER_NAME',
    doc: 'The name of this cluster: written to every service, and the mark of ownership.',
    format: text,
  }),
  syncPeriodSeconds: setting({
    env: 'SYNC_PERIOD',
    doc: 'Seconds between full reconciliations; changes in between arrive at once.',
    format: integer(1, 86_400),
    default: 600,
    lenient: true,
  }),
  shardPaths: setting({
    env: 'SHARD_PATHS',
    doc: 'Comma-separated shard names; each service gets one of them as `shard_path`.',
    format: list(matching('shard', /^[^\s,]{1,512}$/, 'a name without spaces')),
    default: [],
    defaultDoc: 'no shards',
  }),
  nodeProxyPort: setting({
    env: 'NODE_PROXY_PORT',
    doc: 'The port under which the proxy is reached on each node.',
    format: port,
    default: 31_112,
  }),
}

export type RegistrarConfig = Values<typeof registrarSettings>
