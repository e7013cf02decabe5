/**
 * Short-cuts the connections of cgroups until it is ended, by SIGTERM in order: `sockops-holder.ts OPTIONS FOLDER...`. OPTIONS are
 * those of SockopsPrograms, as JSON. At SIGUSR2 the first cgroup is no longer chosen.
 */
import { statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { silentLogger } from '../src/common/logger.ts'
import { SockopsPrograms, type SockopsOptions } from '../src/exporter/ebpf/sockops-program.ts'

const [options = '', ...folders] = process.argv.slice(2)
const given = JSON.parse(options) as Omit<SockopsOptions, 'log'>
const programs = new SockopsPrograms({ ...given, log: silentLogger })
let containers = folders.map((folder) => ({ folder, cgroupIds: [statSync(folder).ino] }))
const tell = (): void => {
  const at = Number(process.hrtime.bigint())
  const taken = programs.watch(containers)
  console.log(JSON.stringify({ ...programs.read(), taken, at }))
}
process.on('SIGUSR2', () => (containers = containers.slice(1)))
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
