/** Where the compiled eBPF objects lie. */
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** dist/bpf beside the compiled program; build/bpf when it runs from src/. */
const builtFolder = fileURLToPath(
  new URL(extname(import.meta.filename) === '.ts' ? '../../../build/bpf/' : '../../bpf/', import.meta.url),
)

/** The file of an object for this machine. */
export function bpfObjectFile(name: string, folder: string = builtFolder): string {
  return join(folder, process.arch, `${name}.bpf.o`)
}
