import { describe, expect, it } from 'vitest'
import { pidOf } from '../../../../src/exporter/core/cri-info.ts'
import { cgroupName, parseCgroups, parseStartTime } from '../../../../src/exporter/core/parse-process.ts'
import { parseSnmp, sockstatFigure } from '../../../../src/exporter/core/parse-sockstat.ts'
import { summarizeSockets } from '../../../../src/exporter/core/socket-summary.ts'

const sockstat =
  'sockets: used 17\nTCP: inuse 1 orphan 4 tw 16 alloc 1 mem 91\nUDP: inuse 3 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n'
const sockstat6 = 'TCP6: inuse 5\nUDP6: inuse 2\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n'
const snmp =
  'Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoAlgorithm MaxConn CurrEstab\nTcp: 1 -1 12\nUdp: InDatagrams\nUdp: 299\n'

describe('sockstat and snmp', () => {
  it('are read by row and name', () => {
    expect(sockstatFigure(sockstat, 'TCP', 'tw')).toBe(16)
    expect(parseSnmp(snmp).get('Tcp')?.get('MaxConn')).toBe(-1)
  })

  it('sum up to six figures', () => {
    const figures = { established: 12, timewait: 16, orphan: 4, total: 17 }
    expect(summarizeSockets(sockstat, sockstat6, snmp)).toEqual({ ...figures, inuse: 6, udp: 5 })
    expect(summarizeSockets(sockstat, undefined, snmp)).toEqual({ ...figures, inuse: 1, udp: 3 })
  })

  it.each([
    ['an empty file', ''],
    ['a cut line', sockstat.slice(0, -3)],
    ['a missing number', sockstat.replace('tw 16', 'tw')],
    ['a missing row', sockstat.replace(/^TCP.*\n/m, '')],
    ['no number', sockstat.replace('16', '1x')],
  ])('refuse %s', (_, text) => {
    expect(() => summarizeSockets(text, sockstat6, snmp)).toThrow(/proc\(5\)/)
  })

  it('refuse pairs of lines that do not belong together', () => {
    expect(() => parseSnmp(snmp.replace('Tcp: 1 -1 12', 'Udp: 1 -1 12'))).toThrow(/proc\(5\)/)
    expect(() => parseSnmp(snmp.replace('Tcp: 1 -1 12', 'Tcp: 1 -1'))).toThrow(/proc\(5\)/)
  })
})

describe('the files of a process', () => {
  const rest = 'S 1 100 100 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1000 200 18446744073709551615 1 1 0'

  it('give the start time, whatever the name is', () => {
    expect(parseStartTime(`100 (sh) ${rest}`)).toBe('123456')
    expect(parseStartTime(`100 (a) b) (c) ${rest}`)).toBe('123456')
  })

  it('are refused when cut', () => {
    expect(() => parseStartTime(`100 (sh) ${rest}`.slice(0, 60))).toThrow(/expected 52 fields/)
    expect(() => parseStartTime('')).toThrow(/expected 52 fields/)
  })

  it('give the cgroups of both versions', () => {
    const cgroups = parseCgroups(
      '4:memory:/pods/a\n2:cpu,cpuacct:/pods/b\n1:name=systemd:/s\n0::/unified/a:b\n',
    )
    expect(cgroups.unified).toBe('/unified/a:b')
    expect(cgroups.byController.get('cpuacct')).toBe('/pods/b')
    expect(cgroupName(cgroups)).toBe('/pods/a')
    expect(cgroupName(parseCgroups('0::/x\n'))).toBe('/x')
    expect(() => parseCgroups('4:memory:/pods/a\n2:cpu')).toThrow(/cgroups\(7\)/)
    expect(() => parseCgroups('4 memory\n')).toThrow(/cgroups\(7\)/)
  })
})

describe('the process id in a verbose CRI answer', () => {
  it.each([
    ['containerd 1.6 and newer', { info: '{"sandboxID":"b","pid":16600}' }, 16_600],
    ['before containerd 1.6', { pid: '42' }, 42],
    ['a container that has not started', { info: '{"pid":0}' }, 0],
    ['no pid', { info: '{"sandboxID":"b"}' }, undefined],
    ['a pid that is no number', { info: '{"pid":"12"}' }, undefined],
    ['a negative pid', { info: '{"pid":-1}' }, undefined],
    ['a pid that Linux does not have', { info: '{"pid":99999999}' }, undefined],
    ['cut JSON', { info: '{"pid":16' }, undefined],
    ['JSON that is no object', { info: 'null' }, undefined],
    ['a bare pid with letters', { pid: '42x' }, undefined],
    ['nothing', {}, undefined],
  ])('of %s', (_, info: Record<string, string>, pid) => {
    expect(pidOf(info)).toBe(pid)
  })
})
