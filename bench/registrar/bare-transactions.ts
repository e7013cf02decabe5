/** `bare-transactions.ts URL FILE`: writes services to the catalog by transactions of 64, four in flight, and nothing else. */
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import type { FilledService } from './fill.ts'

const [url = '', file = ''] = process.argv.slice(2)
const services = JSON.parse(readFileSync(file, 'utf8')) as FilledService[]
const agent = new Agent({ keepAlive: true, maxSockets: 4 })

function transaction(operations: readonly unknown[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify(operations)
    const sent = request(`${url}/v1/txn`, { method: 'PUT', agent }, (response) => {
      response.resume()
      response.on('end', () => {
        if (response.statusCode === 200) resolve()
        else reject(new Error(`status ${String(response.statusCode)}`))
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const Node = 'k8s-bench'
await transaction([{ Node: { Verb: 'set', Node: { Node, Address: '192.0.2.1' } } }])
let next = 0
async function worker(): Promise<void> {
  while (next < services.length) {
    const batch = services.slice(next, next + 64)
    next += 64
    await transaction(
      batch.map(({ ID, Service, Address, Port, Tags, Meta }) => ({
        Service: { Verb: 'set', Node, Service: { ID, Service, Address, Port, Tags, Meta } },
      })),
    )
  }
}
await Promise.all([worker(), worker(), worker(), worker()])
agent.destroy()
