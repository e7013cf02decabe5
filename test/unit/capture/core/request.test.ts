import { describe, expect, it } from 'vitest'
import { captureQuery, parseCaptureQuery } from '../../../../src/capture/core/request.ts'

const limits = { maxSeconds: 60, maxBytes: 1_000_000 }
const parse = (query: string): unknown => parseCaptureQuery(new URLSearchParams(query), limits)

describe('the query of a capture', () => {
  it('takes what is given, and the limits for what is not', () => {
    expect(parse('namespace=shop&pod=web-0')).toEqual({
      ...{ namespace: 'shop', pod: 'web-0', filter: '', seconds: 60, bytes: 1_000_000, snaplen: 262_144 },
      interface: 'any',
    })
    const asked = {
      ...{ namespace: 'shop', pod: 'web.0', filter: 'tcp port 80 && host ::1', seconds: 5, bytes: 1_000 },
      ...{ snaplen: 64, interface: 'veth' as const },
    }
    expect(parse(captureQuery(asked))).toEqual(asked)
  })

  it.each([
    ['pod=web', 'namespace'],
    ['namespace=shop', 'pod'],
    ['namespace=../..&pod=web', 'namespace'],
    ['namespace=shop&pod=web;reboot', 'pod'],
    ['namespace=shop&pod=$(id)', 'pod'],
    ['namespace=shop&pod=-w', 'pod'],
    ['namespace=shop&pod=WEB', 'pod'],
    ['namespace=shop&pod=web&pod=db', 'twice'],
    ['namespace=shop&pod=web&seconds=61', '1 to 60'],
    ['namespace=shop&pod=web&seconds=0', '1 to 60'],
    ['namespace=shop&pod=web&seconds=1e1', '1 to 60'],
    ['namespace=shop&pod=web&seconds=-1', '1 to 60'],
    ['namespace=shop&pod=web&bytes=1000001', '24 to 1000000'],
    ['namespace=shop&pod=web&snaplen=1', '64 to 262144'],
    ['namespace=shop&pod=web&interface=eth0;id', 'any, veth, eth0'],
    ['namespace=shop&pod=web&filter=tcp%0Aport', 'control characters'],
    ['namespace=shop&pod=web&filter=tcp%00', 'control characters'],
    [`namespace=shop&pod=web&filter=${'x'.repeat(2_001)}`, 'at most 2000'],
    ['namespace=shop&pod=web&write=/etc/passwd', 'no such parameter'],
  ])('refuses %s, and says %s', (query, said) => {
    expect(() => parse(query)).toThrow(said)
  })
})
