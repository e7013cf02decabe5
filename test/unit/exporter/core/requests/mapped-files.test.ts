import { describe, expect, it } from 'vitest'
import { tlsCandidates } from '../../../../../src/exporter/core/requests/mapped-files.ts'

const line = (permissions: string, path: string): string =>
  `7f1c2a000000-7f1c2a05c000 ${permissions} 0001e000 08:01 1234567                    ${path}\n`

describe('files that may speak TLS', () => {
  it('are the libraries of OpenSSL that are mapped to be run', () => {
    const maps = [
      line('r--p', '/usr/lib/x86_64-linux-gnu/libssl.so.3'),
      line('r-xp', '/usr/lib/x86_64-linux-gnu/libssl.so.3'),
      line('r-xp', '/opt/venv/psycopg2.libs/libssl-3e69114b.so.1.1'),
      line('r-xp', '/usr/lib/libssl3.so'),
      line('r--p', '/usr/lib/libssl.so.1.1'),
      line('r-xp', '/usr/bin/python3.11'),
      '7ffc7a5e4000-7ffc7a5e6000 r-xp 00000000 00:00 0                          [vdso]\n',
    ]
    expect(tlsCandidates(maps.join(''), '/usr/bin/python3.11')).toEqual([
      '/usr/lib/x86_64-linux-gnu/libssl.so.3',
      '/opt/venv/psycopg2.libs/libssl-3e69114b.so.1.1',
    ])
  })

  it('are the program itself where there is no such library, unless its file is gone', () => {
    const maps = line('r-xp', '/usr/local/bin/node')
    expect(tlsCandidates(maps, '/usr/local/bin/node')).toEqual(['/usr/local/bin/node'])
    expect(tlsCandidates(maps, '/usr/local/bin/node (deleted)')).toEqual([])
    expect(tlsCandidates(line('r-xp', '/usr/lib/libssl.so.3 (deleted)'), '/a')).toEqual([])
  })
})
