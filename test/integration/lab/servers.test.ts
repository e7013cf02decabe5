import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'

describeWith(['consul', 'prometheus'], 'the lab', () => {
  it('starts a Consul whose services a Prometheus finds', async () => {
    await using consul = await Consul.start()
    await consul.put('/v1/agent/service/register', { ID: 'a', Name: 'a', Address: '127.0.0.1', Port: 1 })
    await using prometheus = await Prometheus.start(`
scrape_configs:
  - job_name: lab
    consul_sd_configs: [{ server: "${consul.url.slice(7)}" }]
`)
    const target = await waitFor('the target', async () =>
      (await prometheus.targets()).find(({ scrapeUrl }) => scrapeUrl.includes('127.0.0.1:1/')),
    )
    expect(target.discoveredLabels['__meta_consul_service']).toBe('a')
  })
})
