import { commonSettings } from './common-settings.ts'
import { folder, listenPort, oneOf, readableFile, text } from './format.ts'
import { optional, setting, type Values } from './setting.ts'

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
  connectionsSource: setting({
    env: 'CONNECTIONS_SOURCE',
    doc:
      'Where sockets are read: `ebpf` reads those of all pods in one pass (Linux 6.2, CAP_BPF and CAP_PERFMON), ' +
      '`procfs` reads /proc/PID/net once for each network namespace, `auto` takes eBPF where it works and says once why it does not.',
    format: oneOf('auto', 'ebpf', 'procfs'),
    default: 'auto',
  }),
  libbpfPath: optional({
    env: 'LIBBPF_PATH',
    doc: 'The file of libbpf.so.1, where the system does not find it by itself. libelf and zlib are looked for beside it.',
    format: readableFile,
  }),
}

export type ExporterConfig = Values<typeof exporterSettings>
