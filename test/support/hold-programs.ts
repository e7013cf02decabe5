/** A program that loads all eBPF programs, attaches those of TCP health, and waits to be ended. Its argument: the file of libbpf. */
import { silentLogger } from '../../src/common/logger.ts'
import { SocketTableReader } from '../../src/exporter/ebpf/socket-table-reader.ts'
import { TcpHealthReader } from '../../src/exporter/ebpf/tcp-health-reader.ts'

const libbpf = process.argv[2]
using reader = new TcpHealthReader({ libbpf, log: silentLogger })
using sockets = new SocketTableReader({ libbpf, log: silentLogger })
console.log('ready', reader.read(0).rows.length, sockets.read().pass.rows)
await new Promise((resolve) => setTimeout(resolve, 1 << 30))
