import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'
import { expect, it } from 'vitest'
import { criCall } from '../../../../src/exporter/runtimes/cri-calls.ts'
import {
  CriListing,
  type CriContainer,
  type CriSandbox,
} from '../../../../src/exporter/runtimes/cri-listing.ts'

const proto = fileURLToPath(new URL('../../../../proto/cri-runtime-v1.proto', import.meta.url))
const messages = new protobuf.Root().loadSync(proto)

function answer(type: string, fields: object): Uint8Array {
  const message = messages.lookupType(`runtime.v1.${type}`)
  return message.encode(message.fromObject(fields)).finish()
}

const sandbox = (id: string, state = 'SANDBOX_READY'): object => ({
  ...{ id, state, labels: { app: id, 'io.kubernetes.pod.name': id } },
  metadata: { name: id, namespace: 'shop', uid: `uid-${id}` },
})
const container = (id: string, podSandboxId: string): object => ({
  ...{ id, podSandboxId, metadata: { name: 'app' }, image: { image: 'nginx' } },
})

/** A listing, and the ids of what it decoded. */
function watched(): { readonly listing: CriListing; readonly decoded: string[] } {
  const decoded: string[] = []
  const read = <T extends { id: string }>(items: readonly T[]): readonly T[] => {
    decoded.push(...items.map(({ id }) => id))
    return items
  }
  const listing = new CriListing({
    containers: (bytes) =>
      read((criCall('ListContainers').decode(bytes) as { containers: CriContainer[] }).containers),
    sandboxes: (bytes) => read((criCall('ListPodSandbox').decode(bytes) as { items: CriSandbox[] }).items),
  })
  return { listing, decoded }
}

const list = (listing: CriListing, containers: readonly object[], sandboxes: readonly object[]) =>
  listing.update(answer('ListContainersResponse', { containers }), () =>
    Promise.resolve(answer('ListPodSandboxResponse', { items: sandboxes })),
  )

it('decodes a container and a sandbox once, and a sandbox again when it is not as it was', async () => {
  const { listing, decoded } = watched()
  const both = [container('a1', 'a'), container('b1', 'b')]
  const first = await list(listing, both, [sandbox('a'), sandbox('b')])
  expect(decoded.splice(0)).toEqual(['a', 'b', 'a1', 'b1'])
  expect(first.containers.map(({ id, pod }) => [id, pod?.name, pod?.labels])).toEqual([
    ['a1', 'a', { app: 'a' }],
    ['b1', 'b', { app: 'b' }],
  ])

  expect((await list(listing, both, [])).containers).toEqual(first.containers) // nobody asked for sandboxes
  expect(decoded).toEqual([])

  const more = [...both, container('c1', 'c')]
  const { sandboxes } = await list(listing, more, [
    sandbox('a'),
    sandbox('b', 'SANDBOX_NOTREADY'),
    sandbox('c'),
  ])
  expect(decoded.splice(0)).toEqual(['b', 'c', 'c1'])
  expect(sandboxes.map(({ id }) => id)).toEqual(['a', 'c'])
})

it('forgets what is no longer listed', async () => {
  const { listing, decoded } = watched()
  await list(listing, [container('a1', 'a')], [sandbox('a')])
  expect(await list(listing, [], [])).toEqual({ containers: [], sandboxes: [] })
  decoded.splice(0)

  await list(listing, [container('a1', 'a')], [sandbox('a')])

  expect(decoded).toEqual(['a', 'a1'])
})
