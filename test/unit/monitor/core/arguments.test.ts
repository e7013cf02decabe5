import { describe, expect, it } from 'vitest'
import { parseMonitorArguments, type MonitorCommand } from '../../../../src/monitor/core/arguments.ts'

function parse(line: string, isTerminal = false): MonitorCommand {
  const command = parseMonitorArguments(line.split(' '), isTerminal)
  if (command === undefined) throw new Error('help')
  return command
}

describe('the command line of podsonar monitor', () => {
  it.each([
    ['all', ['socket', 'stack', 'http', 'grpc']],
    ['kernel all', ['socket', 'stack']],
    ['kernel socket', ['socket']],
    ['kernel stack', ['stack']],
    ['user all', ['http', 'grpc']],
    ['user http', ['http']],
    ['user grpc', ['grpc']],
  ])('%s', (scope, expected) => {
    expect([...parse(`${scope} --pod web-0`).layers]).toEqual(expected)
  })

  it('shows a summary on a terminal, lines elsewhere, JSON when asked to', () => {
    expect(parse('all --pod a', true).output).toBe('summary')
    expect(parse('all --pod a --events', true).output).toBe('lines')
    expect(parse('all --pod a').output).toBe('lines')
    expect(parse('all --pod a --json', true).output).toBe('json')
  })

  it('takes a Jaeger agent for the host where Jaeger takes OTLP, and says so', () => {
    const { otlpEndpoint, notes } = parse('all --pod a --jaeger-agent jaeger:6831')

    expect(otlpEndpoint).toBe('http://jaeger:4318')
    expect(notes).toEqual([expect.stringContaining('http://jaeger:4318')])
  })

  it('says of every flag that does nothing what replaces it', () => {
    const { notes } = parse(
      'all --pod a --veth v --imagename i --grpcimagename i --sidecar-mode --force-minikube --with-sockops --kubeconfig k',
    )

    expect(notes.map((note) => note.split(' ')[0])).toEqual([
      ...['--veth', '--imagename', '--grpcimagename', '--kubeconfig'],
      ...['--sidecar-mode', '--force-minikube', '--with-sockops'],
    ])
  })

  it('takes --grpcpod for --pod, and the usual ports', () => {
    const { pod, pushgateway, listen, namespace } = parse(
      'user grpc --grpcpod g --prometheus push --exporter-port 8765',
    )

    expect([pod, pushgateway, listen, namespace]).toEqual([
      ...[{ name: 'g' }, 'http://push:9091', { address: '127.0.0.1', port: 8765 }, 'default'],
    ])
  })

  it('finds all problems at once', () => {
    expect(() =>
      parse('nonsense --pod-label ,, --seconds 0 --exporter-port x --otlp-endpoint ftp://a'),
    ).toThrow(/expected one of all.*\n.*--pod-label.*\n.*--otlp-endpoint.*\n.*--exporter-port.*\n.*--seconds/)
    expect(() => parse('all')).toThrow(/--pod, --pod-label: expected one of them/)
    expect(() => parse('all --pod a --pod-label b=c')).toThrow(/expected one of them/)
    expect(() => parse('all --pod a --unknown')).toThrow(/--unknown/)
  })

  it('gives nothing when help is asked for', () => {
    expect(parseMonitorArguments(['all', '--help'], false)).toBeUndefined()
  })
})
