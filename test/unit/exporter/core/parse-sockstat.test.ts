import { expect, it } from 'vitest'
import { snmpFigure } from '../../../../src/exporter/core/parse-sockstat.ts'

const names = 'Tcp: MaxConn CurrEstab InSegs\n'

it('finds a figure of snmp by its name, wherever it is', () => {
  const text = `Ip: Forwarding CurrEstab\nIp: 1 9\n${names}Tcp: -1 7 12\n`
  expect(snmpFigure(text, 'Tcp', 'CurrEstab')).toBe(7)
  expect(snmpFigure(text, 'Tcp', 'InSegs')).toBe(12)
})

it.each([
  ['one value too few', `${names}Tcp: -1 7\n`],
  ['one value too many', `${names}Tcp: -1 7 12 3\n`],
  ['no values', names],
  ['values of others', `${names}Udp: -1 7 12\n`],
  ['no number', `${names}Tcp: -1 x 12\n`],
  ['a cut end', `${names}Tcp: -1 7 12`],
])('takes no figure from %s', (_, text) => {
  expect(() => snmpFigure(text, 'Tcp', 'CurrEstab')).toThrow(/Cannot read net\/snmp/)
})
