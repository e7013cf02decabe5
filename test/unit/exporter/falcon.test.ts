import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../../src/common/logger.ts'
import { falconValues, type FalconValue } from '../../../src/exporter/core/falcon.ts'
import { FalconPusher } from '../../../src/exporter/falcon.ts'
import { waitFor } from '../../../lab/wait.ts'
import { container, pod } from '../../support/containers.ts'

const summary = { established: 1, inuse: 2, timewait: 3, orphan: 4, udp: 5, total: 6 }
const moment = { endpoint: 'node-1', timestamp: 1_700_000_040, step: 60 }

/** An agent that takes pushes, or refuses them while `refusing`. */
async function agent() {
  const taken: FalconValue[][] = []
  const state = { refusing: false, tries: 0 }
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      state.tries += 1
      if (!state.refusing) taken.push(JSON.parse(body) as FalconValue[])
      response.writeHead(state.refusing ? 503 : 200).end(state.refusing ? 'busy' : 'success')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/push`
  return {
    ...{ taken, state, url },
    [Symbol.dispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

describe('values for open-falcon', () => {
  it('are six a container, tagged with what it is', () => {
    const values = falconValues(container('main', { pod: pod('web') }), summary, moment)
    expect(values).toHaveLength(6)
    expect(values[2]).toEqual({
      ...{ endpoint: 'node-1', metric: 'container.sockstat.timewait', timestamp: 1_700_000_040, step: 60 },
      ...{ value: 3, counterType: 'GAUGE', tags: 'container=main,namespace=default,pod=web' },
    })
    expect(falconValues(container('a=b,c'), summary, moment)[0]?.tags).toBe('container=a_b_c')
  })
})

describe('the pusher', () => {
  it('pushes at whole steps, keeps what the agent refuses, and drops the oldest of too many', async () => {
    using falcon = await agent()
    falcon.state.refusing = true
    const counts = { pushed: 0, dropped: 0, read: 0 }
    await using _pusher = new FalconPusher({
      ...{ url: falcon.url, stepSeconds: 0.02, log: silentLogger },
      read: (timestamp) => {
        counts.read += 1
        return Promise.resolve([
          { ...moment, timestamp, metric: 'm', value: 1, counterType: 'GAUGE', tags: '' },
        ])
      },
      onPushed: (values) => (counts.pushed += values),
      onDropped: (values) => (counts.dropped += values),
    })
    await waitFor('values to be dropped', () => counts.dropped > 3 && falcon.state.tries > 1)
    expect(counts.pushed).toBe(0)
    falcon.state.refusing = false
    await waitFor('the agent to get the kept ones', () => counts.pushed > 20)
    expect(falcon.taken.length).toBeGreaterThan(20)
    const times = falcon.taken.flat().map(({ timestamp }) => timestamp)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
  })
})
