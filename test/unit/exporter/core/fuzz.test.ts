/**
 * Every parser against cuts and mutations of recorded files: it either reads them or throws a PodsonarError, and never takes
 * a number from a line that was cut. The cases are the same in every run; FUZZ_CASES and FUZZ_SEED make more and others.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { PodsonarError } from '../../../../src/common/errors.ts'
import { pidOf } from '../../../../src/exporter/core/cri-info.ts'
import {
  dockerPid,
  isDockerList,
  listDockerContainers,
} from '../../../../src/exporter/core/docker-containers.ts'
import {
  parseBlkio,
  parseFlat,
  parseIoStat,
  parsePressure,
  parseSingle,
} from '../../../../src/exporter/core/parse-cgroup-files.ts'
import { parseMounts } from '../../../../src/exporter/core/parse-mountinfo.ts'
import { parseNetDev } from '../../../../src/exporter/core/parse-net-dev.ts'
import {
  SocketFileParser,
  socketFiles,
  type SocketFile,
} from '../../../../src/exporter/core/parse-net-sockets.ts'
import { parseCgroups, parseStartTime, parseThreads } from '../../../../src/exporter/core/parse-process.ts'
import { parseSnmp, snmpFigure, sockstatFigure } from '../../../../src/exporter/core/parse-sockstat.ts'
import { splitList } from '../../../../src/exporter/core/split-list.ts'
import { SocketTableBuilder } from '../../../../src/exporter/core/socket-table-builder.ts'
import { SocketRow } from '../../../../src/exporter/core/socket-table.ts'

const cases = Number(process.env['FUZZ_CASES'] ?? 400)
const seed = Number(process.env['FUZZ_SEED'] ?? 20_261)

const node = fileURLToPath(new URL('../../../fixtures/exporter-node', import.meta.url))
const fixtures = fileURLToPath(new URL('../../../fixtures', import.meta.url))

/** All recorded files of this name, or the texts given. */
function recorded(name: string): string[] {
  const files = readdirSync(node, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith(`/${name}`),
  )
  const texts = [...new Set(files.map((file) => readFileSync(join(node, file), 'latin1')))]
  return texts.filter((text) => text !== '').slice(0, 4)
}

/** Uniform numbers below `n`: Park and Miller's generator. */
function randomFrom(start: number): (n: number) => number {
  let state = (start % 2_147_483_646) + 1
  return (n) => (state = (state * 48_271) % 2_147_483_647) % n
}

/** A text that was damaged in one to three places. */
function mutate(text: string, random: (n: number) => number): string {
  let result = text
  for (let k = random(3); k >= 0; k -= 1) {
    const at = random(result.length + 1)
    const length = 1 + random(12)
    const inserted = [
      '',
      '\n',
      ' ',
      ':',
      '\0',
      '-1',
      '99999999999999999999999',
      'ÿ',
      result.slice(at, at + length),
    ]
    result = [
      () => result.slice(0, at) + result.slice(at + length),
      () => result.slice(0, at) + (inserted[random(inserted.length)] ?? '') + result.slice(at),
      () => result.slice(0, at) + String.fromCharCode(random(256)) + result.slice(at + 1),
    ][random(3)]!()
  }
  return result
}

/** Every number in a parsed value. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value]
  if (value instanceof Map) return [...value.values()].flatMap(numbersIn)
  if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : []
}

function sockets(file: SocketFile, text: string): unknown {
  const builder = new SocketTableBuilder()
  const row = new SocketRow()
  row.namespace = 1
  const parser = new SocketFileParser(file, builder, row)
  const bytes = Buffer.from(text, 'latin1')
  parser.end(bytes.subarray(parser.push(bytes, bytes.length)))
  return builder.finishFlat()
}

const lines: Readonly<Record<string, readonly [texts: readonly string[], parse: (text: string) => unknown]>> =
  {
    ...Object.fromEntries(
      socketFiles.map((file) => [
        `net/${file}`,
        [recorded(`net/${file}`), (text: string) => sockets(file, text)] as const,
      ]),
    ),
    'net/sockstat': [recorded('net/sockstat'), (text) => sockstatFigure(text, 'TCP', 'tw')],
    'net/sockstat6': [recorded('net/sockstat6'), (text) => sockstatFigure(text, 'UDP6', 'inuse')],
    'net/snmp': [recorded('net/snmp'), (text) => [parseSnmp(text), snmpFigure(text, 'Tcp', 'CurrEstab')]],
    'net/netstat': [recorded('net/netstat'), parseSnmp],
    'net/dev': [recorded('net/dev'), parseNetDev],
    mountinfo: [recorded('mountinfo'), parseMounts],
    cgroup: [recorded('cgroup'), parseCgroups],
    'cpu.stat': [recorded('cpu.stat'), parseFlat],
    'memory.stat': [recorded('memory.stat'), parseFlat],
    'memory.usage_in_bytes': [recorded('memory.usage_in_bytes'), parseSingle],
    'cpu.pressure': [recorded('cpu.pressure'), parsePressure],
    'io.stat': [
      ['8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n253:1 rbytes=1 wbytes=2 rios=3 wios=4\n'],
      parseIoStat,
    ],
    blkio: [['8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n'], parseBlkio],
  }

describe(`the parsers, ${cases} cases each from seed ${seed}`, () => {
  it.each(Object.keys(lines))('of %s read what was recorded', (name) => {
    const [texts, parse] = lines[name]!
    expect(texts.length).toBeGreaterThan(0)
    for (const text of texts) expect(() => parse(text)).not.toThrow()
  })

  it.each(Object.keys(lines))('of %s take nothing from a line that was cut', (name) => {
    const [texts, parse] = lines[name]!
    const random = randomFrom(seed)
    for (let k = 0; k < cases; k += 1) {
      const text = texts[k % texts.length] ?? ''
      const cut = text.slice(0, random(text.length))
      if (cut === '' || cut.endsWith('\n')) continue
      expect(() => parse(cut), JSON.stringify(cut.slice(-80))).toThrow(PodsonarError)
    }
  })

  it.each(Object.keys(lines))('of %s read or refuse what was damaged, and give numbers', (name) => {
    const [texts, parse] = lines[name]!
    const random = randomFrom(seed)
    for (let k = 0; k < cases; k += 1) {
      const damaged = mutate(texts[k % texts.length] ?? '', random)
      try {
        expect(numbersIn(parse(damaged)).filter((value) => Number.isNaN(value))).toEqual([])
      } catch (error) {
        if (!(error instanceof PodsonarError)) throw new Error(JSON.stringify(damaged), { cause: error })
      }
    }
  })

  it('of stat read or refuse what was damaged or cut', () => {
    const texts = recorded('stat').filter((text) => /^\d+ \(/.test(text))
    const random = randomFrom(seed)
    for (let k = 0; k < cases; k += 1) {
      const text = texts[k % texts.length] ?? ''
      for (const damaged of [mutate(text, random), text.slice(0, random(text.length))])
        try {
          expect(parseStartTime(damaged)).toMatch(/^\d+$/)
          expect(parseThreads(damaged)).toBeGreaterThanOrEqual(0)
        } catch (error) {
          if (!(error instanceof PodsonarError)) throw error
        }
    }
  })

  it("of a runtime's list read or refuse what was damaged or cut, and give its entries", () => {
    const field = (number: number, value: string): string =>
      String.fromCharCode(number * 8 + 2, value.length) + value
    const entry = (id: string): string => field(1, field(1, id) + field(5, 'labels') + '\x18\x01')
    const list = entry('first') + entry('second') + field(2, 'unknown') + '\x25abcd\x29abcdefgh'
    const split = (text: string): [id: string, length: number][] =>
      splitList(Buffer.from(text, 'latin1')).map(({ id, message }) => [id, message.length])
    expect(split(list)).toEqual([
      ['first', entry('first').length],
      ['second', entry('second').length],
    ])
    const random = randomFrom(seed)
    for (let k = 0; k < cases; k += 1)
      for (const damaged of [mutate(list, random), list.slice(0, random(list.length))])
        try {
          for (const [id] of split(damaged)) expect(id).not.toBe('')
        } catch (error) {
          if (!(error instanceof PodsonarError)) throw error
        }
  })

  it("of runtimes' JSON never throw, and give process ids that Linux can have", () => {
    const info = readFileSync(join(fixtures, 'cri/containerd-1.6.20-ContainerStatus-verbose.json'), 'utf8')
    const inspected = readFileSync(join(fixtures, 'docker/20.10-container-inspect.json'), 'utf8')
    const list = readFileSync(join(fixtures, 'docker/20.10-containers-json.json'), 'utf8')
    const random = randomFrom(seed)
    const json = (text: string): unknown => {
      try {
        return JSON.parse(text)
      } catch {
        return undefined
      }
    }
    const { info: verbose } = JSON.parse(info) as { info: Record<string, string> }
    for (let k = 0; k < cases; k += 1) {
      const damaged = mutate(verbose['info'] ?? '', random)
      for (const pid of [pidOf({ info: damaged }), pidOf({ pid: mutate('16600', random) })])
        if (pid !== undefined) expect(pid).toSatisfy((n: number) => Number.isInteger(n) && n >= 0)
      const pid = dockerPid(json(mutate(inspected, random)))
      if (pid !== undefined) expect(Number.isInteger(pid)).toBe(true)
      const containers = json(mutate(list, random))
      if (isDockerList(containers)) expect(listDockerContainers(containers).containers).toBeInstanceOf(Array)
    }
  })
})
