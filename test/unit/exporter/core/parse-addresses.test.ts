import { describe, expect, it } from 'vitest'
import { parseFibTrie, parseIfInet6 } from '../../../../src/exporter/core/parse-addresses.ts'

/** Of a pod on Linux 6.18: the main table, then the local one, which repeats it. */
const table = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.192.0.0/16 2 0 2
        |-- 10.192.0.0
           /16 link UNICAST
        |-- 10.192.0.7
           /32 host LOCAL
        |-- 10.192.255.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
`

describe('parseFibTrie()', () => {
  it('gives the addresses of a namespace once, without loopback and broadcast', () => {
    expect(parseFibTrie(table + table.replace('Main', 'Local'))).toEqual(['10.192.0.7'])
  })

  it('gives nothing of an empty file, or one that is cut', () => {
    expect(parseFibTrie('')).toEqual([])
    expect(parseFibTrie(table.slice(0, table.indexOf('/32 host')))).toEqual([])
  })
})

describe('parseIfInet6()', () => {
  it('gives global addresses as connections show them', () => {
    const text = [
      '00000000000000000000000000000001 01 80 10 80       lo',
      'fd000000000000000000000000000007 02 40 00 80     eth0',
      'fe800000000000006c5910fffe9da0ce 02 40 20 80     eth0',
    ].join('\n')
    expect(parseIfInet6(`${text}\n`)).toEqual(['fd00::7'])
    expect(parseIfInet6('')).toEqual([])
  })
})
