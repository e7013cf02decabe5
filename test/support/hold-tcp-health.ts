/** A program that attaches the TCP health programs and waits to be ended. Its argument: the file of libbpf. */
import { silentLogger } from '../../src/common/logger.ts'
import { TcpHealthReader } from '../../src/exporter/ebpf/tcp-health-reader.ts'

const libbpf = process.argv[2]
using reader = new TcpHealthReader({ libbpf, log: silentLogger })
console.log('ready', reader.read(0).rows.length)
await new Promise((resolve) => setTimeout(resolve, 1 << 30))
