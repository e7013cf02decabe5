/** A network for pods: a bridge of its own with an unused subnet, and the CNI configuration that plugs pods into it. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './process.ts'
import { Turn } from './turn.ts'

export class Bridge implements AsyncDisposable {
  readonly name: string
  /** The bridge's own address, as pods see this machine. */
  readonly address: string
  readonly #busybox: string

  private constructor(name: string, address: string, busybox: string) {
    this.name = name
    this.address = address
    this.#busybox = busybox
  }

  /**
   * Creates the bridge and writes `folder`/10-lab.conflist. Pods get an IPv4 and an IPv6 address; they reach each other
   * and this machine, nothing beyond, so that no forwarding and no firewall has to change.
   *
   * @param mtu of pods' interfaces
   */
  static async create(folder: string, busybox: string, mtu = 1500): Promise<Bridge> {
    const name = `sonar${randomBytes(4).toString('hex')}`
    // Between the choice of a subnet and its use nobody else may choose the same.
    await using _turn = await Turn.exclusive('bridge')
    const net = freeSecondOctet()
    const bridge = new Bridge(name, `10.${net}.0.1`, busybox)
    await run(busybox, ['brctl', 'addbr', name])
    await run(busybox, ['ip', 'addr', 'add', `${bridge.address}/16`, 'dev', name])
    await run(busybox, ['ip', 'link', 'set', name, 'up'])
    await mkdir(folder, { recursive: true })
    const ipam = {
      type: 'host-local',
      dataDir: join(folder, 'addresses'),
      ranges: [[{ subnet: `10.${net}.0.0/16` }], [{ subnet: `fd70:6f64:${net}::/64` }]],
    }
    const plugins = [{ type: 'bridge', bridge: name, hairpinMode: true, mtu, ipam }]
    await writeFile(
      join(folder, '10-lab.conflist'),
      JSON.stringify({ cniVersion: '1.0.0', name: 'lab', plugins }),
    )
    return bridge
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(this.#busybox, ['ip', 'link', 'set', this.name, 'down'])
    await run(this.#busybox, ['brctl', 'delbr', this.name])
  }
}

/**
 * The second octet of a 10.x.0.0/16 that no route of this machine leads to, also none of a bridge that has no pods yet, or any more.
 * Source: /proc/net/route, whose second column is a destination in hexadecimal, its first octet last.
 */
function freeSecondOctet(): number {
  const routes = readFileSync('/proc/net/route', 'latin1').split('\n')
  const used = new Set(routes.map((line) => line.split('\t')[1]?.slice(4)))
  for (;;) {
    const octet = 100 + ((randomBytes(1)[0] ?? 0) % 150)
    const hexadecimal = octet.toString(16).padStart(2, '0').toUpperCase()
    if (!used.has(`${hexadecimal}0A`)) return octet
  }
}
