import { afterAll, beforeAll, expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { TcpProxy } from '../../../lab/tcp-proxy.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { foundIds, idsOf, PresenceWatch } from '../../support/presence.ts'
import { agentServices, marked, readyz, registrarSettings, untilReady } from '../../support/registrar.ts'

const always = Number.POSITIVE_INFINITY
const patient = { timeoutMs: 60_000 }

/** What goes wrong with the API server, until it is healed. */
const faults: Readonly<Record<string, (kubernetes: SimulatedKubernetes) => void>> = {
  'ends its watches and has forgotten their versions': (kubernetes) => {
    kubernetes.compact()
    kubernetes.closeWatches()
  },
  'answers 429 and asks to stay away': (kubernetes) => {
    kubernetes.faults.arm({ kind: 'status', status: 429, retryAfterSeconds: 1 }, { times: always })
    kubernetes.closeWatches()
  },
  'answers 500': (kubernetes) => {
    kubernetes.faults.arm({ kind: 'status', status: 500 }, { times: always })
    kubernetes.closeWatches({ reset: true })
  },
  'resets connections in the middle of lists': (kubernetes) => {
    kubernetes.faults.arm({ kind: 'cut' }, { verb: 'list', times: always })
  },
  'lists a few pods only, and calls that all': (kubernetes) => {
    kubernetes.shortenLists(4)
  },
  'lists nothing, and calls that all': (kubernetes) => {
    kubernetes.shortenLists(0)
  },
  'forbids everything that it allowed before': (kubernetes) => {
    kubernetes.faults.arm({ kind: 'status', status: 403 }, { times: always })
    kubernetes.closeWatches()
  },
  'says nothing any more, on old connections and new ones': (kubernetes) => {
    kubernetes.freeze()
  },
}

async function heal(kubernetes: SimulatedKubernetes): Promise<void> {
  kubernetes.faults.clear()
  kubernetes.shortenLists(undefined)
  kubernetes.thaw()
  await kubernetes.arrive()
}

describeWith(['consul'], 'a registrar whose API server', () => {
  const owned = new AsyncDisposableStack()
  const expected = new Set<string>()
  let consul: Consul
  let kubernetes: SimulatedKubernetes
  let program: Program
  let added = 100

  const addPod = (name: string) => {
    kubernetes.addPod({ name, annotations: marked({ port: '9090' }) })
    expected.add(`pod--default--${name}`)
  }
  const ids = async () => [...(await agentServices(consul)).keys()].sort()

  beforeAll(async () => {
    consul = owned.use(await Consul.start())
    kubernetes = owned.use(await SimulatedKubernetes.start({ bookmarkMs: 500 }))
    for (const index of [1, 2, 3]) {
      kubernetes.addNode({ name: `node-${index}`, internalIps: [`192.168.0.${index}`] })
      expected.add(`node--192.168.0.${index}`)
    }
    for (let index = 10; index < 40; index += 1) addPod(`web-${index}`)
    const paces = { SYNC_PERIOD: '1', WATCH_SILENCE: '2' }
    program = owned.use(
      await Program.start(['registrar'], await registrarSettings(consul, kubernetes, paces)),
    )
    await untilReady(program)
    expect(await ids()).toEqual([...expected].sort())
  })
  afterAll(() => owned.disposeAsync())

  it.each(Object.entries(faults))('%s loses nothing, and sees what changed', async (_, fault) => {
    const asked = kubernetes.api.requests.length
    let lost: string[] = []
    const look = async () => {
      const there = new Set(await ids())
      lost = [...lost, ...[...expected].filter((id) => !there.has(id))]
    }
    fault(kubernetes)
    // What goes during the fault may be seen or not; what stays must stay.
    const [gone = ''] = [...expected].filter((id) => id.startsWith('pod--'))
    expected.delete(gone)
    kubernetes.deletePod('default', gone.replace('pod--default--', ''))
    // Where nothing is answered, there is one request at a time.
    const times = kubernetes.api.frozen ? 1 : 5
    await waitFor('the fault to be met several times', async () => {
      await look()
      return kubernetes.api.requests.length >= asked + times
    })
    await kubernetes.leave()
    await waitFor('the registrar to say so', async () => !(await readyz(program)).ready, patient)
    await look()
    await heal(kubernetes)
    addPod(`web-${(added += 1)}`)
    await waitFor(
      'Consul to be equal to the cluster',
      async () => {
        expect(await ids()).toEqual([...expected].sort())
        return true
      },
      patient,
    )
    await waitFor('the registrar to be content', async () => (await readyz(program)).ready, patient)
    expect(lost).toEqual([])
  })
})

describeWith(['consul'], 'connections that a firewall forgot', () => {
  const cluster = async () => {
    const kubernetes = await SimulatedKubernetes.start({ bookmarkMs: 500 })
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    for (let index = 0; index < 20; index += 1)
      kubernetes.addPod({ name: `web-${index}`, annotations: marked({ port: '9090' }) })
    return kubernetes
  }
  const portOf = (url: string) => Number(new URL(url).port)
  /** Changes the cluster, and waits until Consul shows it; nothing that stays is ever missing. */
  const seesChanges = async (
    consul: Consul,
    kubernetes: SimulatedKubernetes,
    forget: () => void,
  ): Promise<void> => {
    const staying = idsOf(kubernetes.pods.slice(1), kubernetes.nodes)
    await using presence = new PresenceWatch(staying, () => agentServices(consul))
    forget()
    kubernetes.deletePod('default', 'web-0')
    kubernetes.addPod({ name: 'late', annotations: marked({ port: '9090' }) })
    await waitFor(
      'Consul to be equal to the cluster',
      async () => {
        const expected = idsOf(kubernetes.pods, kubernetes.nodes)
        expect(await foundIds(agentServices, consul)).toEqual(expected)
        return true
      },
      patient,
    )
    expect([...presence.missing]).toEqual([])
  }

  it('to the API server: the watches are opened anew, and nothing is lost', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster()
    await using proxy = await TcpProxy.start(portOf(kubernetes.url))
    const settings = await registrarSettings(consul, kubernetes, { WATCH_SILENCE: '2' })
    const kubeconfig = await kubernetes.kubeconfig(`https://127.0.0.1:${proxy.port}`)
    await using program = await Program.start(['registrar'], { ...settings, KUBECONFIG: kubeconfig })
    await untilReady(program)
    await seesChanges(consul, kubernetes, () => {
      expect(proxy.forget()).toBeGreaterThanOrEqual(2)
    })
    await untilReady(program)
  })

  it('to Consul: a call that gets no answer is given up and made again, and nothing is lost', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster()
    await using proxy = await TcpProxy.start(portOf(consul.url))
    const settings = await registrarSettings(consul, kubernetes, {
      CONSUL_ADDRESS: `http://127.0.0.1:${proxy.port}`,
    })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    await seesChanges(consul, kubernetes, () => {
      expect(proxy.forget()).toBeGreaterThanOrEqual(1)
    })
    await untilReady(program)
  })
})
