import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import {
  agentServices,
  catalogBackend,
  catalogServices,
  marked,
  readyz,
  registrarSettings,
  untilReady,
} from '../../support/registrar.ts'

const managementToken = '5a7b4b5e-6f0e-4f54-9a55-1d4f6b6f0a11'

/** The policies of docs/consul-acl.md, in its order: catalog, agent. */
const documented = readFileSync(new URL('../../../docs/consul-acl.md', import.meta.url), 'utf8')
const [catalogRules = '', agentRules = ''] = [...documented.matchAll(/```hcl\n(.*?)```/gs)].map(
  ([, rules = '']) => rules.replaceAll('my-cluster', 'c1'),
)

async function tokenWith(
  consul: Consul,
  rules: string,
  name = `policy-${String(Math.random()).slice(2)}`,
): Promise<string> {
  await consul.put('/v1/acl/policy', { Name: name, Rules: rules })
  const { SecretID } = JSON.parse(await consul.put('/v1/acl/token', { Policies: [{ Name: name }] })) as {
    SecretID: string
  }
  return SecretID
}

async function smallCluster(): Promise<SimulatedKubernetes> {
  const kubernetes = await SimulatedKubernetes.start()
  kubernetes.addNode({ name: 'node-1' })
  kubernetes.addPod({ name: 'web-0', annotations: marked({ port: '1' }) })
  kubernetes.addPod({ name: 'web-1', annotations: marked({ port: '1' }) })
  return kubernetes
}

describeWith(['consul'], 'a Consul with ACLs', () => {
  it.each([
    ['agent', agentRules, {}, agentServices],
    ['catalog', catalogRules, catalogBackend, catalogServices],
  ])('the documented policy is enough for the %s backend', async (_kind, rules, backend, services) => {
    await using consul = await Consul.start({ managementToken })
    await using kubernetes = await smallCluster()
    const token = await tokenWith(consul, rules)
    const more = { ...backend, CONSUL_HTTP_TOKEN: token, SYNC_PERIOD: '1' }
    const settings = await registrarSettings(consul, kubernetes, more)
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    expect((await services(consul)).size).toBe(3)
    kubernetes.deletePod('default', 'web-0')
    await waitFor('the removal', async () => (await services(consul)).size === 2)
    const syncs = program.log.filter(({ event }) => event === 'synced').length
    await waitFor('two more', () => program.log.filter(({ event }) => event === 'synced').length > syncs + 1)
    expect(program.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
    expect(program.process.stderr).not.toContain(token)
    expect(await (await fetch(await program.url())).text()).not.toContain(token)

    program.process.kill('SIGTERM')
    await program.process.exited
    const both = await tokenWith(consul, catalogRules)
    await using purge = await Program.start(['purge'], { ...settings, CONSUL_HTTP_TOKEN: both })
    expect(await purge.process.exited).toEqual({ code: 0, signal: null })
    expect((await services(consul)).size).toBe(0)
  })

  it.each([
    ['agent', agentRules, {}, 'service "pod--default--web-0" { policy = "write" }'],
    ['catalog', catalogRules, catalogBackend, 'service_prefix "" { policy = "write" } for the services'],
  ])('a missing rule is named, and holds up nothing else (%s)', async (kind, rules, backend, rule) => {
    await using consul = await Consul.start({ managementToken })
    await using kubernetes = await smallCluster()
    kubernetes.deletePod('default', 'web-1')
    const token = await tokenWith(
      consul,
      rules.replace('service_prefix "pod--"', 'service_prefix "nothing--"'),
    )
    const settings = await registrarSettings(consul, kubernetes, { ...backend, CONSUL_HTTP_TOKEN: token })
    await using program = await Program.start(['registrar'], settings)
    const reason = await waitFor('the reason', async () => (await readyz(program)).reasons['consul'])
    expect(reason).toContain('Permission denied')
    expect(reason).toContain(`expected a token whose policy has`)
    expect(reason).toContain(rule)
    const services = kind === 'agent' ? agentServices : catalogServices
    await waitFor('the node', async () => (await services(consul)).size === 1)
  })

  it('a token file is read again, so that a rotated token is taken up', async () => {
    await using consul = await Consul.start({ managementToken })
    await using kubernetes = await smallCluster()
    await using folder = await TemporaryFolder.create('token')
    const file = join(folder.path, 'token')
    await writeFile(file, '00000000-1111-2222-3333-444444444444\n')
    const settings = await registrarSettings(consul, kubernetes, { CONSUL_HTTP_TOKEN_FILE: file })
    await using program = await Program.start(['registrar'], settings)
    const reason = await waitFor('the reason', async () => (await readyz(program)).reasons['consul'])
    expect(reason).toContain('Consul says "ACL not found" (403)')
    await writeFile(file, `${await tokenWith(consul, agentRules)}\n`)
    await untilReady(program)
    expect((await agentServices(consul)).size).toBe(3)
  })
})
