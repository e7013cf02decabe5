import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseWebConfig } from '../../../../src/common/web/web-config.ts'

const folder = new URL('../../../fixtures/web-config/', import.meta.url)

function examples(kind: 'good' | 'bad'): [name: string, text: string][] {
  return readdirSync(new URL(kind, folder)).map((name) => [
    name,
    readFileSync(new URL(`${kind}/${name}`, folder), 'utf8'),
  ])
}

describe('parseWebConfig', () => {
  it.each(examples('good'))('reads %s', (_name, text) => {
    expect(() => parseWebConfig(text)).not.toThrow()
  })

  it.each(examples('bad'))('refuses %s, and says why', (_name, text) => {
    const [, expected = 'no expectation'] = /^# expects: (.*)$/m.exec(text) ?? []
    expect(() => parseWebConfig(text)).toThrow(expected)
  })

  it('does not show what stands in place of a hash', () => {
    expect(() => parseWebConfig('basic_auth_users: {alice: s3cret}')).toThrow(/^((?!s3cret).)*$/)
  })

  it('gives what OpenSSL and Node call it', () => {
    const text = readFileSync(new URL('good/versions-and-ciphers.yml', folder), 'utf8')
    expect(parseWebConfig(text).tls).toEqual({
      certificate: { file: 'tls.crt' },
      key: { file: 'tls.key' },
      clientAuth: 'NoClientCert',
      clientAuthority: undefined,
      clientAllowedSans: [],
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      ciphers: ['ECDHE-RSA-AES128-GCM-SHA256', 'TLS_AES_128_GCM_SHA256'],
      curves: ['X25519', 'P-256'],
    })
  })

  it('asks for nothing when the file is empty', () => {
    expect(parseWebConfig('')).toEqual({
      tls: undefined,
      headers: {},
      users: new Map(),
      rateLimit: undefined,
    })
  })

  it.each([
    ['{interval: 1s, burst: 20}', { intervalMs: 1_000, burst: 20 }],
    ['{interval: 1m0.5s, burst: 1}', { intervalMs: 60_500, burst: 1 }],
    ['{interval: 250ms, burst: 3}', { intervalMs: 250, burst: 3 }],
    ['{interval: 0, burst: 3}', undefined],
    ['{interval: 0s}', undefined],
    ['{burst: 3}', undefined],
    ['', undefined],
  ])('reads rate_limit: %s', (text, expected) => {
    expect(parseWebConfig(`rate_limit: ${text}`).rateLimit).toEqual(expected)
  })
})
