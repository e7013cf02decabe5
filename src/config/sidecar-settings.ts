import { list, text } from './format.ts'
import { setting } from './setting.ts'

/** How sidecars are known. */
export const sidecarSettings = {
  sidecarNames: setting({
    env: 'SIDECAR_NAMES',
    doc: 'Comma-separated names of containers that are proxies beside a service.',
    format: list(text),
    default: ['istio-proxy', 'envoy', 'sidecar-proxy'],
  }),
  sidecarImages: setting({
    env: 'SIDECAR_IMAGES',
    doc: 'Comma-separated ends of image names, without registry and tag, that are proxies beside a service.',
    format: list(text),
    default: ['istio/proxyv2', 'envoyproxy/envoy', 'eswzy/sidecar-proxy'],
  }),
}
