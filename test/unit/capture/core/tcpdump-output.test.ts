import { expect, it } from 'vitest'
import {
  complaint,
  isListening,
  lastStatistics,
  withoutInterfaceName,
} from '../../../../src/capture/core/tcpdump-output.ts'

/** As tcpdump 4.99.3 writes it. */
const whole = `tcpdump: data link type LINUX_SLL2
tcpdump: listening on any, link-type LINUX_SLL2 (Linux cooked v2), snapshot length 262144 bytes
tcpdump: 17 packets captured, 18 packets received by filter, 0 packets dropped by kernel
1 packet captured
90 packets received by filter
4 packets dropped by kernel
`

it('knows when tcpdump has begun, and its newest statistics', () => {
  expect(isListening('tcpdump: data link type LINUX_SLL2\n')).toBe(false)
  expect(isListening(whole)).toBe(true)
  expect(lastStatistics(whole)).toEqual({ captured: 1, received: 90, dropped: 4 })
  expect(lastStatistics(whole.split('\n').slice(0, 3).join('\n'))).toEqual({
    captured: 17,
    received: 18,
    dropped: 0,
  })
  expect(lastStatistics('')).toBeUndefined()
})

it('keeps what tcpdump complains of, and nothing else', () => {
  expect(complaint(whole)).toBe('')
  expect(
    complaint("tcpdump: data link type LINUX_SLL2\ntcpdump: can't parse filter expression: syntax error\n"),
  ).toBe("can't parse filter expression: syntax error")
  expect(complaint('nsenter: failed to execute tcpdump: No such file or directory\n')).toBe(
    'failed to execute tcpdump: No such file or directory',
  )
})

it('takes the name of an interface of another namespace out of a line', () => {
  expect(withoutInterfaceName('14:17:00.935602 ifb0  In  IP 10.0.0.1.4 > 10.0.0.2.9: UDP, length 7')).toBe(
    '14:17:00.935602 In  IP 10.0.0.1.4 > 10.0.0.2.9: UDP, length 7',
  )
  expect(withoutInterfaceName('14:17:00.935602 IP 10.0.0.1.4 > 10.0.0.2.9: UDP, length 7')).toBe(
    '14:17:00.935602 IP 10.0.0.1.4 > 10.0.0.2.9: UDP, length 7',
  )
})
