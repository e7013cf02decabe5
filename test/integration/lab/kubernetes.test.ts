import { readFile } from 'node:fs/promises'
import { expect, test, describe } from 'vitest'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'

interface Body {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: readonly { metadata: { name: string } }[]
}

async function recorded(file: string): Promise<unknown> {
  const url = new URL(`../../fixtures/kubernetes/${file}`, import.meta.url)
  return JSON.parse(await readFile(url, 'utf8')) as unknown
}

/** The paths of all fields, with [] for any index and the keys of label maps left out. */
function shape(value: unknown, path = ''): string[] {
  if (/\.(labels|annotations|fieldsV1)$/.test(path)) return [path]
  if (Array.isArray(value)) return [...new Set(value.flatMap((item) => shape(item, `${path}[]`)))]
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([key, inner]) => shape(inner, `${path}.${key}`))
  return [path]
}

describe('the simulated Kubernetes', () => {
  const start = () => SimulatedKubernetes.start({ tls: false, token: 'right' })
  const get = async (
    kubernetes: SimulatedKubernetes,
    path: string,
    { token = 'right', ...init }: { token?: string; method?: string; body?: string } = {},
  ) => {
    const headers = { authorization: `Bearer ${token}` }
    const response = await fetch(kubernetes.url + path, { ...init, headers })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }

  test('lists pods in pages of one moment, shaped like the recorded ones', async () => {
    await using kubernetes = await start()
    for (const name of ['a', 'b', 'c']) {
      const owner = { kind: 'ReplicaSet', name: 'web-6d9467768' }
      kubernetes.addPod({ name, nodeName: 'node1', labels: { app: 'web' }, owner })
    }
    const first = JSON.parse((await get(kubernetes, '/api/v1/pods?limit=2')).text) as Body
    kubernetes.deletePod('default', 'c')
    const rest = `/api/v1/pods?limit=2&continue=${first.metadata.continue ?? ''}`
    const second = JSON.parse((await get(kubernetes, rest)).text) as Body
    expect([...first.items, ...second.items].map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c'])
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
    const ours = shape(first).filter((path) => !path.includes('.env[]'))
    expect(ours).toEqual(expect.arrayContaining(shape(await recorded('pods-list-page1.json'))))
    expect(JSON.stringify(first.items[0]).length).toBeGreaterThan(4_500)
  })

  test('lists nodes like the recorded one', async () => {
    await using kubernetes = await start()
    kubernetes.addNode({ name: 'node1' })
    const body = JSON.parse((await get(kubernetes, '/api/v1/nodes')).text) as unknown
    expect(shape(body)).toEqual(shape(await recorded('nodes-list.json')))
  })

  test('refuses with the recorded bodies', async () => {
    await using kubernetes = await start()
    const wrong = await get(kubernetes, '/api/v1/pods', { token: 'wrong' })
    expect(wrong.status).toBe(401)
    expect(JSON.parse(wrong.text)).toEqual(await recorded('unauthorized-401.json'))

    kubernetes.faults.arm({ kind: 'status', status: 429, retryAfterSeconds: 3 })
    const busy = await get(kubernetes, '/api/v1/pods')
    expect([busy.status, busy.headers.get('retry-after')]).toEqual([429, '3'])
    expect((await get(kubernetes, '/api/v1/pods')).status).toBe(200)

    const old = kubernetes.api.versions.current
    kubernetes.compact()
    const expired = await get(kubernetes, `/api/v1/pods?watch=true&resourceVersion=${old}`)
    const sent = JSON.parse(expired.text) as { type: string; object: { reason: string; code: number } }
    expect(sent).toMatchObject({ type: 'ERROR', object: { reason: 'Expired', code: 410 } })
  })

  test('keeps leases with optimistic locking', async () => {
    await using kubernetes = await start()
    const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases'
    const spec = { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: '2026-11-20T08:00:00.000000Z' }
    const body = JSON.stringify({ metadata: { name: 't' }, spec })
    const created = await get(kubernetes, leases, { method: 'POST', body })
    expect(created.status).toBe(201)
    expect((await get(kubernetes, leases, { method: 'POST', body })).status).toBe(409)
    const lease = created.text
    const update = () => get(kubernetes, `${leases}/t`, { method: 'PUT', body: lease })
    expect((await update()).status).toBe(200)
    const conflict = await update()
    expect(conflict.status).toBe(409)
    expect(JSON.parse(conflict.text)).toEqual(await recorded('lease-conflict-409.json'))
  })
})
