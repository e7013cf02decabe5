import { readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import ts from 'typescript'
import type { Program } from '../lab/program.ts'
import type { Turn } from './turns.ts'

/** The turns of the event loop of a program that is started with {@link settings}; it costs the program a little. */
export class WatchedTurns {
  readonly settings: Readonly<Record<string, string>>
  readonly #file: string

  constructor(folder: string) {
    this.#file = join(folder, 'turns.json')
    // As JavaScript: to strip types takes 10 MiB and more, which would be told as the program's.
    const module = join(folder, 'turns.mjs')
    const source = readFileSync(new URL('turns.ts', import.meta.url), 'utf8')
    const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ESNext }
    writeFileSync(module, ts.transpileModule(source, { compilerOptions }).outputText)
    this.settings = { NODE_OPTIONS: `--import=${module}`, BENCH_TURNS: this.#file }
  }

  /** Ends the program. Gives its long turns since it listens: before that there is nobody whom they could keep waiting. */
  async end(program: Program): Promise<Turn[]> {
    const { time } = await program.logged('listening')
    program.process.kill('SIGTERM')
    await program.process.exited
    const turns = JSON.parse(await readFile(this.#file, 'utf8')) as Turn[]
    return turns.filter(({ began }) => began > Date.parse(String(time)))
  }
}

/** The most of a figure of any turn, in milliseconds; 0 where all are too short to be noted. */
export function longest(turns: readonly Turn[], figure: 'wallMs' | 'cpuMs'): number {
  return Math.max(0, ...turns.map((turn) => turn[figure]))
}

/**
 * The longest turn without its time in the queue of a processor, behind other programs or other threads of its own: what it would
 * have taken with a processor to itself. What the kernel or another thread kept it waiting for is in it.
 */
export function longestUnqueued(turns: readonly Turn[]): number {
  return Math.max(0, ...turns.map(({ wallMs, queuedMs }) => wallMs - queuedMs))
}
