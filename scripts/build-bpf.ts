/** Compiles the eBPF programs to build/bpf. `npm run build` does so too, and takes them into dist/bpf. */
import { buildBpf } from '../lab/bpf.ts'

await buildBpf()
