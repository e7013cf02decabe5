import { commonSettings } from './common-settings.ts'
import { folder, listenPort, text } from './format.ts'
import { setting, type Values } from './setting.ts'

/** Settings of MODE=exporter. */
export const exporterSettings = {
  ...commonSettings,
  port: setting({
    env: 'PORT',
    doc: 'The port of /metrics, /healthz, /readyz and the page.',
    format: listenPort,
    default: 28_880,
  }),
  procPath: setting({
    env: 'PROC_PATH',
    doc: "Where the host's /proc is mounted.",
    format: folder,
    default: '/proc',
  }),
  nodeName: setting({
    env: 'NODE_NAME',
    doc: 'The name of this node, for the `node` label.',
    format: text,
    default: 'unknown',
  }),
}

export type ExporterConfig = Values<typeof exporterSettings>
