import { describe, expect, it } from 'vitest'
import { SettingsError } from '../../../src/common/errors.ts'
import { loadInvocation } from '../../../src/config/load.ts'

function problemsOf(args: readonly string[], environment: Record<string, string>): readonly string[] {
  try {
    loadInvocation(args, environment)
  } catch (error) {
    if (error instanceof SettingsError) return error.problems
    throw error
  }
  return []
}

/** The loaded mode and settings; CLUSTER_NAME is what a registrar cannot do without. */
function load(args: readonly string[], environment: Record<string, string> = {}) {
  const invocation = loadInvocation(args, { CLUSTER_NAME: 'lab', ...environment })
  if (invocation.command === 'help' || invocation.command === 'version') throw new Error('expected a mode')
  return invocation
}

describe('loadInvocation()', () => {
  it('runs the registrar when nothing else is asked for', () => {
    expect(load([])).toMatchObject({ command: 'run', mode: 'registrar' })
  })

  it('takes the mode from the first argument, then from --mode, then from MODE', () => {
    expect(load(['proxy'], { MODE: 'exporter' }).mode).toBe('proxy')
    expect(load(['--mode', 'proxy'], { MODE: 'exporter' }).mode).toBe('proxy')
    expect(load([], { MODE: 'exporter' }).mode).toBe('exporter')
  })

  it.each([[['--port', '9000']], [['--port=9000']], [['-port=9000']], [['-port', '9000']]])(
    'reads %j as PORT',
    (flags) => {
      expect(load(['exporter', ...flags], { PORT: '1' }).config).toMatchObject({ port: 9000 })
    },
  )

  it('counts an empty variable as unset', () => {
    expect(load(['exporter'], { PORT: ' ', NODE_NAME: '' }).config).toMatchObject({
      port: 28_880,
      nodeName: 'unknown',
    })
  })

  it('reports every problem at once, with the name, the value and what is accepted', () => {
    const problems = problemsOf(['exporter', '--nonsense', '1'], {
      PORT: '70000',
      PROC_PATH: '/nowhere',
      LOG_LEVEL: 'loud',
    })
    expect(problems).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^PORT: expected a port from 0 .* to 65535: value was "70000"$/),
        'PROC_PATH: expected the path of an existing folder: value was "/nowhere"',
        expect.stringMatching(/^LOG_LEVEL: expected one of debug, info.*: value was "loud"$/),
        expect.stringMatching(/^--nonsense: no such flag/),
      ]),
    )
  })

  it('rejects an unknown MODE and lists the modes', () => {
    expect(problemsOf([], { MODE: 'watcher' })).toEqual([
      'MODE: expected one of registrar, proxy, exporter: value was "watcher"',
    ])
  })

  it('rejects a flag without a value', () => {
    expect(problemsOf(['exporter', '--port'], {})).toEqual([
      expect.stringMatching(/^--port: .*no value was given$/),
    ])
  })

  it('rejects a mode that is followed by another word', () => {
    expect(problemsOf(['exporter', 'now'], {})).toEqual([expect.stringContaining('"now"')])
  })

  it('warns of an unusable SYNC_PERIOD and uses 600', () => {
    const { config, warnings } = load([], { SYNC_PERIOD: 'often' })
    expect(config).toMatchObject({ syncPeriodSeconds: 600 })
    expect(warnings).toEqual([expect.stringMatching(/^SYNC_PERIOD: .*"often", using 600$/)])
  })

  it('reads shards as a list and rejects an empty entry', () => {
    expect(load([], { SHARD_PATHS: 'a, b' }).config).toMatchObject({ shardPaths: ['a', 'b'] })
    expect(problemsOf([], { CLUSTER_NAME: 'lab', SHARD_PATHS: 'a,,b' })).toEqual([
      expect.stringMatching(/^SHARD_PATHS: .*"a,,b"$/),
    ])
  })

  it('knows --help, -h and --version whatever else is wrong', () => {
    expect(loadInvocation(['--help', '--bogus'], {})).toEqual({ command: 'help' })
    expect(loadInvocation(['-h'], {})).toEqual({ command: 'help' })
    expect(loadInvocation(['--version'], { MODE: 'bogus' })).toEqual({ command: 'version' })
  })
})
