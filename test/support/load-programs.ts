/**
 * A program that loads the socket table with room for so many sockets, reads it, and says as JSON how it went and how often
 * the kernel broke off the loading, after a line each time. Its arguments: the file of libbpf, and the number.
 */
import { describeError, errorCode } from '../../src/common/errors.ts'
import { silentLogger } from '../../src/common/logger.ts'
import { SocketTableReader } from '../../src/exporter/ebpf/socket-table-reader.ts'

const [libbpf, rows] = process.argv.slice(2)
let interruptions = 0
const log = {
  ...silentLogger,
  debug: ({ event }: { event: string }) => {
    if (event !== 'bpf_load_interrupted') return
    interruptions += 1
    console.log('interrupted')
  },
}
process.on('SIGUSR2', () => undefined)
console.log('ready')
try {
  using reader = new SocketTableReader({ libbpf, rows: Number(rows), log })
  const { pass } = reader.read()
  console.log(JSON.stringify({ rows: pass.rows, interruptions }))
} catch (error) {
  console.log(JSON.stringify({ code: errorCode(error), message: describeError(error), interruptions }))
}
