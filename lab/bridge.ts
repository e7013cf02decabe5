/** A network for pods: a bridge of its own with an unused subnet, and the CNI configuration that plugs pods into it. */
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { run } from './process.ts'

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

/** The second octet of a 10.x.0.0/16 that no interface of this machine is in, random so that parallel labs differ. */
function freeSecondOctet(): number {
  const used = new Set(
    Object.values(networkInterfaces())
      .flat()
      .map((address) => address?.address.split('.', 2).join('.')),
  )
  for (;;) {
    const octet = 100 + ((randomBytes(1)[0] ?? 0) % 150)
    if (!used.has(`10.${octet}`)) return octet
  }
}
