import { describe, expect, it } from 'vitest'
import { parseCaptureArguments } from '../../../../src/capture/core/arguments.ts'

const parse = (line: string): ReturnType<typeof parseCaptureArguments> =>
  parseCaptureArguments(line.split(' ').filter((word) => word !== ''))

describe('the command line of podsonar capture', () => {
  it('has a pod, then a filter, and flags anywhere', () => {
    expect(parse('-n shop web-0 tcp port 80 --seconds 10 -w - --snaplen=128')).toMatchObject({
      ...{
        subject: { kind: 'pod', name: 'web-0', allContainers: false },
        namespace: 'shop',
        seconds: 10,
        output: '-',
      },
      options: { filter: 'tcp port 80', snaplen: 128, interface: 'any' },
      ...{ place: undefined, bytes: undefined, exporterNamespace: 'podsonar-exporter' },
    })
  })

  it.each([
    ['-l app=web,tier!=db udp', { kind: 'selector', selector: { text: 'app=web,tier!=db' } }, 'udp'],
    ['--pid 17 icmp', { kind: 'pid', pid: 17 }, 'icmp'],
    ['--all-containers', { kind: 'all' }, ''],
    ['--all-containers tcp port 80', { kind: 'all' }, 'tcp port 80'],
    ['web --all-containers tcp', { kind: 'pod', name: 'web', allContainers: true }, 'tcp'],
    ['web -- -1 < tcp[0]', { kind: 'pod', name: 'web', allContainers: false }, '-1 < tcp[0]'],
  ])('knows whose packets: %s', (line, subject, filter) => {
    expect(parse(line)).toMatchObject({ subject, options: { filter } })
  })

  it.each([
    ['--bytes 10M', 10_000_000],
    ['--bytes 1500', 1_500],
    ['--bytes 2G', 2_000_000_000],
  ])('reads %s', (text, bytes) => {
    expect(parse(`web ${text}`)?.bytes).toBe(bytes)
  })

  it.each([
    ['', 'POD: expected'],
    ['WEB', 'expected the name of a pod'],
    ['web --seconds soon', '--seconds: value was "soon"'],
    ['web --bytes 10X', '--bytes: value was "10X"'],
    ['web --interface bond0', 'expected one of any, veth, eth0'],
    ['web --port 80', "Unknown option '--port'"],
    ['-l a=b --pid 1', '-l, --pid: expected one of them'],
    ['-l =b', '--selector: value was "=b"'],
    ['-l a=b --all-containers', '--all-containers: expected with a POD, or alone'],
    ['--pid 1 --cluster', 'expected on the node itself'],
    ['web --node --cluster', 'expected one of them'],
    ['web --exporter node-1', '--exporter: value was "node-1"'],
    ['-l a=b --exporter https://10.0.0.1:28880', '--exporter: expected with a POD'],
    ['--pid 0', '--pid: value was "0"'],
  ])('says what is wrong with "%s"', (line, said) => {
    expect(() => parse(line)).toThrow(said)
  })

  it('gives help', () => {
    expect(parse('--help')).toBeUndefined()
  })
})
