import { fileURLToPath } from 'node:url'
import { freePorts } from '../../lab/ports.ts'
import { Process } from '../../lab/process.ts'
import { waitFor } from '../../lab/wait.ts'

const program = fileURLToPath(new URL('../../lab/naive-proxy.ts', import.meta.url))

/** http-proxy used naively, in a process of its own since it may die. */
export async function startNaiveProxy(
  caFile: string,
  token: string,
): Promise<{ readonly port: number; readonly process: Process }> {
  const [port = 0] = await freePorts(1)
  const started = await Process.start('naive proxy', process.execPath, [program, String(port), caFile, token])
  await waitFor('the naive proxy', () => !started.running || started.stdout.includes('ready'))
  return { port, process: started }
}
