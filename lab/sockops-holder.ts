/** Short-cuts the connections of one cgroup until it is ended, by SIGTERM in order: `sockops-holder.ts LIBBPF FOLDER`. */
import { statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { silentLogger } from '../src/common/logger.ts'
import { SockopsPrograms } from '../src/exporter/ebpf/sockops-program.ts'

const [libbpf = '', folder = ''] = process.argv.slice(2)
const programs = new SockopsPrograms({ libbpf, observeSeconds: 0, log: silentLogger })
const containers = [{ folder, cgroupIds: [statSync(folder).ino] }]
const tell = (): void => {
  programs.watch(containers)
  console.log(JSON.stringify(programs.read()))
}
tell()
const timer = setInterval(tell, 200)
process.on('SIGTERM', () => {
  clearInterval(timer)
  void stop()
})

async function stop(): Promise<void> {
  programs.halt()
  await delay(200)
  console.log(JSON.stringify({ left: programs.release() }))
  programs[Symbol.dispose]()
}
