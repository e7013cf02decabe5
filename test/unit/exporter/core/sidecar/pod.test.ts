import { describe, expect, it } from 'vitest'
import { isSidecar } from '../../../../../src/exporter/core/sidecar/pod.ts'

describe('a sidecar', () => {
  const rules = { names: ['istio-proxy'], images: ['istio/proxyv2', 'envoy'] }

  it.each([
    ['istio-proxy', 'whatever', true],
    ['proxy', 'docker.io/istio/proxyv2:1.20', true],
    ['proxy', 'registry:5000/istio/proxyv2@sha256:00', true],
    ['proxy', 'envoy:v1', true],
    ['proxy', 'docker.io/notistio/proxyv2x:1', false],
    ['web', 'docker.io/shop/my-envoy:1', false],
  ])('is known by name or image: %s, %s: %s', (name, image, expected) => {
    expect(isSidecar(rules, name, image)).toBe(expected)
  })
})
