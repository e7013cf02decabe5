import { once } from 'node:events'
import { Agent, createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { waitFor } from '../../../lab/wait.ts'
import { Agents, idleMs } from '../../../src/proxy/agents.ts'

/** After which a kubelet closes an idle connection, in milliseconds. */
const kubeletIdleMs = 90_000

it('a kept connection that is idle is closed by the proxy, before the kubelet does', async () => {
  expect(idleMs).toBeLessThan(kubeletIdleMs)
  let closed = 0
  const server = createServer({ keepAliveTimeout: kubeletIdleMs }, (_request, response) =>
    response.end('page'),
  )
  server.on('connection', (socket) => socket.on('close', () => (closed += 1)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const agents = new Agents((options) => new Agent(options), 200)
  try {
    const { port } = server.address() as AddressInfo
    for (let round = 0; round < 2; round += 1) {
      const request = get({ port, host: '127.0.0.1', agent: agents.kept })
      const [answer] = (await once(request, 'response')) as [IncomingMessage]
      expect(await text(answer)).toBe('page')
      await waitFor('it to be closed', () => closed === round + 1)
      expect(agents.connections).toEqual({ active: 0, idle: 0 })
    }
  } finally {
    agents.retire()
    server.close()
    server.closeAllConnections()
  }
})
