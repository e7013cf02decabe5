import { logLevels } from '../common/logger.ts'
import { integer, labelName, list, matching, oneOf, readableFile, readableFiles } from './format.ts'
import { optional, setting } from './setting.ts'

/** Settings of every mode. */
export const commonSettings = {
  logLevel: setting({
    env: 'LOG_LEVEL',
    doc: 'The least important log records that are written.',
    format: oneOf(...logLevels),
    default: 'info',
  }),
  logFormat: setting({
    env: 'LOG_FORMAT',
    doc: 'How log records are written to stderr: JSON lines, text for reading, or text only on a terminal.',
    format: oneOf('auto', 'json', 'text'),
    default: 'auto',
  }),
  listenAddress: optional({
    env: 'LISTEN_ADDRESS',
    doc: 'The address to listen on.',
    defaultDoc: 'all, IPv4 and IPv6',
    format: matching('address', /^[0-9A-Za-z.:%-]+$/, 'an IP address or host name of this machine'),
  }),
  webConfigFile: optional({
    env: 'WEB_CONFIG_FILE',
    doc: "TLS, client certificates and bcrypt users of PORT, in the format of Prometheus's exporter-toolkit; read again when it changes.",
    format: readableFile,
  }),
}

/** Settings of the modes that read the Kubernetes API. */
export const kubernetesSettings = {
  kubeconfig: optional({
    env: 'KUBECONFIG',
    doc: 'The kubeconfig file for the Kubernetes API, or several of them separated by colons, merged as kubectl does.',
    defaultDoc: 'in a pod its service account, else ~/.kube/config, else /etc/kubernetes/admin.conf',
    format: readableFiles,
  }),
  watchSilenceSeconds: setting({
    env: 'WATCH_SILENCE',
    doc: 'Seconds after which a watch of the Kubernetes API that says nothing is opened anew: a connection that a firewall forgot looks like that. API servers send a sign of life every minute.',
    format: integer(1, 3_600),
    default: 90,
  }),
}

/** Which labels of pods go along. */
export const podLabelSettings = {
  podLabels: setting({
    env: 'POD_LABELS',
    doc: "Pod labels, comma-separated, that become `label_…`: metadata of services, labels of the exporter's series.",
    format: list(labelName),
    default: [],
    defaultDoc: 'none',
  }),
}
