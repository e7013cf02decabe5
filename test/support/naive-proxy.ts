import { fileURLToPath } from 'node:url'
import { Process } from '../../lab/process.ts'
import { waitFor } from '../../lab/wait.ts'

const program = fileURLToPath(new URL('../../lab/naive-proxy.ts', import.meta.url))

/** http-proxy used naively, in a process of its own since it may die. */
export async function startNaiveProxy(
  caFile: string,
  token: string,
): Promise<{ readonly port: number; readonly process: Process }> {
  const started = await Process.start('naive proxy', process.execPath, [program, '0', caFile, token])
  const port = await waitFor('the naive proxy', () => /^ready (\d+)$/m.exec(started.stdout)?.[1])
  return { port: Number(port), process: started }
}
