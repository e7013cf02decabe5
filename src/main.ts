#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node --max-semi-space-size=2 --v8-pool-size=1 --no-maglev-build-code-on-background --no-concurrent-sparkplug --disable-warning=DEP0060
import { readFileSync } from 'node:fs'
import { describeError, SettingsError } from './common/errors.ts'
import { aborted, type ModeContext, type RunningMode } from './common/lifecycle.ts'
import { createLogger, type Logger } from './common/logger.ts'
import { version } from './common/version.ts'
import { askHealth } from './common/web/health.ts'
import { loadCaptureEnvironment, loadMonitorEnvironment } from './config/capture-environment.ts'
import { helpText } from './config/help.ts'
import { loadInvocation, type Invocation } from './config/load.ts'
import { runningArguments } from './config/running-arguments.ts'
import type { ModeConfig } from './config/schema.ts'

/** How long a stop may take before the program ends the hard way, in milliseconds. */
const stopWithinMs = 9_500

type ModeInvocation = Exclude<Invocation, { command: 'help' | 'version' }>

async function main(): Promise<number> {
  const [first, ...rest] = process.argv.slice(2)
  if (first === 'capture') return capture(rest)
  if (first === 'monitor') return monitor(rest)
  let invocation: Invocation
  try {
    invocation = loadInvocation(asked(process.argv.slice(2)), process.env)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    process.stderr.write(`podsonar: ${error.message}\n`)
    return 2
  }
  switch (invocation.command) {
    case 'help':
      process.stdout.write(helpText())
      return 0
    case 'version':
      process.stdout.write(`podsonar ${version}\n`)
      return 0
    case 'config':
      process.stdout.write(`${JSON.stringify({ MODE: invocation.mode, ...invocation.effective }, null, 2)}\n`)
      return 0
    case 'purge':
      return inContext(invocation, (context) => purge(invocation, context))
    case 'healthcheck':
      return healthcheck(invocation)
    case 'run':
      return inContext(invocation, (context) => run(invocation, context))
  }
}

/** What is asked for: a bare `healthcheck` is for the mode that the container was started with, by its first process. */
function asked(args: readonly string[]): readonly string[] {
  if (args[0] !== 'healthcheck' || args.length > 1) return args
  return [...args, ...(runningArguments(readFileSync('/proc/1/cmdline', 'utf8')) ?? [])]
}

async function healthcheck({ mode, config }: ModeInvocation): Promise<number> {
  const { listenAddress: address } = config
  try {
    await askHealth(
      mode === 'proxy'
        ? { address, port: config.opsPort, mayHaveTls: false }
        : { address, port: config.port, mayHaveTls: config.webConfigFile !== undefined },
    )
    return 0
  } catch (error) {
    process.stderr.write(`podsonar: ${describeError(error)}\n`)
    return 1
  }
}

/** `podsonar capture` has a command line of its own: a filter is no setting. */
async function capture(args: readonly string[]): Promise<number> {
  const { captureCommand } = await import('./capture/command.ts')
  return tool((log) => captureCommand(args, loadCaptureEnvironment(process.env), log, stopSignal()))
}

/** `podsonar monitor`, likewise. */
async function monitor(args: readonly string[]): Promise<number> {
  const { monitorCommand } = await import('./monitor/command.ts')
  return tool((log) => monitorCommand(args, loadMonitorEnvironment(process.env), log, stopSignal()))
}

/** Does the work of a tool for people, and turns its errors into a sentence and an exit status. */
async function tool(work: (log: Logger) => Promise<number>): Promise<number> {
  const log = await createLogger({ level: 'warn', format: process.stderr.isTTY ? 'text' : 'json' })
  try {
    return await work(log)
  } catch (error) {
    process.stderr.write(`podsonar: ${describeError(error)}\n`)
    return error instanceof SettingsError ? 2 : 1
  }
}

/** Does the work with a logger and a signal to stop, and turns its errors into an exit status. */
async function inContext(
  invocation: ModeInvocation,
  work: (context: ModeContext) => Promise<void>,
): Promise<number> {
  const { logLevel, logFormat } = invocation.config
  const format = logFormat === 'auto' ? (process.stderr.isTTY ? 'text' : 'json') : logFormat
  const log = await createLogger({ level: logLevel, format })
  for (const warning of invocation.warnings) log.warn({ event: 'setting_ignored' }, warning)

  const signal = stopSignal()
  try {
    await work({ log, signal })
  } catch (error) {
    if (error instanceof SettingsError) {
      process.stderr.write(`podsonar: ${error.message}\n`)
      return 2
    }
    log.error({ event: 'failed', error: describeError(error) }, 'podsonar cannot go on')
    return 1
  }
  return 0
}

async function run(chosen: ModeConfig, context: ModeContext): Promise<void> {
  const { log, signal } = context
  {
    await using mode = await start(chosen, context)
    log.info({ event: 'started', mode: chosen.mode, version }, 'podsonar runs')
    await Promise.race([aborted(signal), mode.finished])
    log.info({ event: 'stopping' }, 'Stopping')
  }
  log.info({ event: 'stopped' }, 'Stopped')
}

async function purge(chosen: ModeConfig, context: ModeContext): Promise<void> {
  if (chosen.mode !== 'registrar') return
  const { purge: purgeConsul } = await import('./registrar/purge.ts')
  for (const line of await purgeConsul(chosen.config, context)) process.stdout.write(`${line}\n`)
}

/** Each mode is imported only when it runs: a registrar never loads what only an exporter needs. */
async function start(chosen: ModeConfig, context: ModeContext): Promise<RunningMode> {
  switch (chosen.mode) {
    case 'registrar':
      return (await import('./registrar/registrar.ts')).startRegistrar(chosen.config, context)
    case 'proxy':
      return (await import('./proxy/proxy.ts')).startProxy(chosen.config, context)
    case 'exporter':
      return (await import('./exporter/exporter.ts')).startExporter(chosen.config, context)
  }
}

/** Aborted by the first SIGTERM or SIGINT; the second one ends the program at once, as does a stop that hangs. */
function stopSignal(): AbortSignal {
  const controller = new AbortController()
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
    controller.abort()
    setTimeout(() => {
      process.stderr.write('podsonar: did not stop in time, ending\n')
      process.exit(1)
    }, stopWithinMs).unref()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return controller.signal
}

process.exitCode = await main()
