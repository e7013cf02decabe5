import { describe, expect, it } from 'vitest'
import type { Target } from '../../../../src/proxy/core/access.ts'
import { failure, refusedAnswer } from '../../../../src/proxy/core/failure.ts'

const target: Target = {
  label: 'node-1',
  scheme: 'https',
  address: 'fd00::1',
  port: 10_250,
  path: '/metrics/cadvisor',
  certificateName: 'node-1',
  isKubelet: true,
}

describe('refusedAnswer', () => {
  it.each([
    [200, undefined],
    [204, 'upstream_status'],
    [302, 'upstream_redirect'],
    [401, 'upstream_auth'],
    [403, 'upstream_auth'],
    [404, 'upstream_status'],
    [500, 'upstream_status'],
  ])('judges an answer of %i', (statusCode, code) => {
    expect(refusedAnswer(target, { statusCode, headers: {} }, 100)?.code).toBe(code)
  })

  it('refuses a body that says that it is too long', () => {
    const answer = { statusCode: 200, headers: { 'content-length': '101' } }
    expect(refusedAnswer(target, answer, 100)?.code).toBe('upstream_too_large')
    expect(refusedAnswer(target, answer, 101)).toBeUndefined()
  })

  it('says which right is missing', () => {
    expect(refusedAnswer(target, { statusCode: 403, headers: {} }, 1)?.message).toContain('nodes/metrics')
  })
})

describe('failure', () => {
  it('names the node and its address when it cannot be reached', () => {
    const error = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    expect(failure(target, error)).toMatchObject({
      code: 'upstream_unreachable',
      status: 502,
      message: 'Cannot reach node-1 ([fd00::1]:10250): connect ECONNREFUSED',
    })
  })

  it.each([
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'CERT_HAS_EXPIRED',
    'EPROTO',
    'ERR_SSL_WRONG_VERSION_NUMBER',
  ])('names both settings after a TLS failure: %s', (code) => {
    const refusal = failure(target, Object.assign(new Error('no'), { code }))
    expect(refusal.code).toBe('upstream_tls')
    expect(refusal.message).toContain('KUBELET_CERTIFICATE_AUTHORITY')
    expect(refusal.message).toContain('KUBELET_INSECURE_TLS')
  })
})
