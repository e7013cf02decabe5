import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Consul } from '../../lab/consul.ts'
import { TemporaryFolder } from '../../lab/files.ts'
import type { SimulatedKubernetes } from '../../lab/kubernetes/simulated-kubernetes.ts'
import { Process } from '../../lab/process.ts'
import { processUsage } from '../../lab/process-usage.ts'
import { Program } from '../../lab/program.ts'
import { waitFor } from '../../lab/wait.ts'
import { settingsFor } from './cluster.ts'
import { longest, WatchedTurns } from '../watched-turns.ts'

/** A service as the catalog tells it. */
export interface FilledService {
  readonly ID: string
  readonly Service: string
  readonly Address: string
  readonly Port: number
  readonly Tags: readonly string[]
  readonly Meta: Readonly<Record<string, string>>
}

interface ColdStart {
  /** From process start until the registrar says that everything is in place. */
  readonly seconds: number
  /** What is then in the catalog. */
  readonly services: readonly FilledService[]
  readonly peakRssMiB: number
  /** CPU time until everything was in place. */
  readonly cpuSeconds: number
  /** The longest turn of the event loop since the program listens; before that there is nobody whom it could keep waiting. NaN if not watched. */
  readonly eventLoopMaxMs: number
  /** The most that the program itself computed in one turn: what is left of the above on a machine that it has for itself. NaN if not watched. */
  readonly ownTurnMaxMs: number
  /** The last full reconciliation; NaN without one. */
  readonly idleSyncSeconds: number
}

/** Rarely, since asking takes processor time from what is measured: a start may seem this much longer than it was. */
const patience = { timeoutMs: 300_000, everyMs: 100 }

/**
 * Fills an empty Consul.
 *
 * @param entry the program, as it is shipped
 * @param fullSyncs how many full reconciliations to await afterwards
 * @param watchTurns notes the turns of the event loop, which costs a little
 */
export async function coldStart(
  kubernetes: SimulatedKubernetes,
  entry: string,
  { fullSyncs = 0, watchTurns = false }: { readonly fullSyncs?: number; readonly watchTurns?: boolean } = {},
): Promise<ColdStart> {
  await using consul = await Consul.start()
  const settings = await settingsFor(kubernetes, consul.url)
  const started = performance.now()
  await using folder = await TemporaryFolder.create('turns')
  const turns = watchTurns ? new WatchedTurns(folder.path) : undefined
  const more: Record<string, string> = {
    ...(fullSyncs === 0 ? {} : { SYNC_PERIOD: '20' }),
    ...turns?.settings,
  }
  await using program = await Program.start(['registrar'], { ...settings, ...more }, entry)
  const url = await program.url()
  await waitFor('everything to be registered', async () => (await fetch(`${url}/readyz`)).ok, patience)
  const seconds = (performance.now() - started) / 1000
  const { cpuMs } = processUsage(program.process.pid)
  const syncs = (): number[] =>
    program.log.filter(({ event }) => event === 'synced').map(({ durationMs }) => Number(durationMs))
  const before = syncs().length
  await waitFor('full reconciliations', () => syncs().length >= before + fullSyncs, patience)
  const { peakRssBytes } = processUsage(program.process.pid)
  const answer = await consul.get<{ Services: Record<string, FilledService> }>('/v1/catalog/node/k8s-bench')
  const services = Object.values(answer.Services).filter(({ ID }) => /^(pod|node)--/.test(ID))
  const long = await turns?.end(program)
  const expected = kubernetes.pods.length + kubernetes.nodes.length
  if (services.length !== expected) throw new Error(`${services.length} services, expected ${expected}`)
  return {
    seconds,
    services,
    peakRssMiB: peakRssBytes / 2 ** 20,
    cpuSeconds: cpuMs / 1000,
    eventLoopMaxMs: long === undefined ? Number.NaN : longest(long, 'wallMs'),
    ownTurnMaxMs: long === undefined ? Number.NaN : longest(long, 'cpuMs'),
    idleSyncSeconds: fullSyncs === 0 ? Number.NaN : (syncs().at(-1) ?? Number.NaN) / 1000,
  }
}

/** Writes the same services into another empty Consul by bare transactions, in a process of its own; seconds. */
export async function bareTransactions(services: readonly FilledService[]): Promise<number> {
  await using consul = await Consul.start()
  await using folder = await TemporaryFolder.create('bench')
  const file = join(folder.path, 'services.json')
  await writeFile(file, JSON.stringify(services))
  const script = fileURLToPath(new URL('bare-transactions.ts', import.meta.url))
  const started = performance.now()
  await using writer = await Process.start('bare transactions', process.execPath, [script, consul.url, file])
  const { code } = await writer.exited
  if (code !== 0) throw new Error(`bare transactions: ${writer.stderr}`)
  return (performance.now() - started) / 1000
}

/** Registers services by one agent call after another; services a second. */
export async function agentCalls(services: readonly FilledService[]): Promise<number> {
  await using consul = await Consul.start()
  const started = performance.now()
  for (const { ID, Service, Address, Port, Tags, Meta } of services)
    await consul.put('/v1/agent/service/register', { ID, Name: Service, Address, Port, Tags, Meta })
  return services.length / ((performance.now() - started) / 1000)
}
