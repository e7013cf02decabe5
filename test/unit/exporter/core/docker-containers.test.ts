import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  dockerPid,
  isDockerList,
  listDockerContainers,
  type DockerContainer,
} from '../../../../src/exporter/core/docker-containers.ts'

function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../fixtures/docker/${name}`, import.meta.url), 'utf8'))
}

const list = fixture('20.10-containers-json.json')

describe("Docker's list of containers", () => {
  it('names the pod of a container that the kubelet runs', () => {
    expect(isDockerList(list)).toBe(true)
    expect(listDockerContainers(list as DockerContainer[]).containers).toEqual([
      {
        id: '5b04106ab7b828850a1ffa0e029c00f504516a042d898cd5c0b170e4ecac8298',
        name: 'app',
        image: 'bb:1',
        pod: { name: 'dpod', namespace: 'lab', uid: '', labels: {}, annotations: {} },
      },
    ])
  })

  it("takes a pod's labels and annotations from its sandbox, which is no container of its own", () => {
    const pod = {
      'io.kubernetes.pod.name': 'web',
      'io.kubernetes.pod.namespace': 'shop',
      'io.kubernetes.pod.uid': 'u',
    }
    const containers: DockerContainer[] = [
      {
        ...{ Id: 's', Names: ['/k8s_POD_web'], Image: 'pause' },
        Labels: {
          ...pod,
          'io.kubernetes.docker.type': 'podsandbox',
          app: 'web',
          'annotation.prometheus.io/port': '80',
        },
      },
      {
        ...{ Id: 'c', Names: ['/k8s_main_web'], Image: 'web' },
        Labels: {
          ...pod,
          'io.kubernetes.docker.type': 'container',
          'io.kubernetes.container.name': 'main',
          'io.kubernetes.sandbox.id': 's',
          'annotation.io.kubernetes.container.hash': 'x',
        },
      },
    ]
    const web = {
      ...{ name: 'web', namespace: 'shop', uid: 'u', labels: { app: 'web' } },
      annotations: { 'prometheus.io/port': '80' },
    }
    expect(listDockerContainers(containers)).toEqual({
      containers: [{ id: 'c', name: 'main', image: 'web', pod: web }],
      sandboxes: [{ id: 's', pod: web }],
    })
  })

  it('keeps a plain container under its own name', () => {
    const plain = { Id: 'abcdef0123456789', Image: 'redis:7', Labels: { a: 'b' } }
    expect(listDockerContainers([{ ...plain, Names: ['/cache'] }])).toMatchObject({
      containers: [{ name: 'cache', pod: undefined }],
    })
    expect(listDockerContainers([{ ...plain, Names: null, Labels: null }])).toMatchObject({
      containers: [{ name: 'abcdef012345' }],
    })
  })

  it.each([[{}], [null], [[1]], [[{ Id: 1 }]], [[{ Id: 'a', Image: 'b', Names: null, Labels: { a: 1 } }]]])(
    'is not %j',
    (value) => {
      expect(isDockerList(value)).toBe(false)
    },
  )
})

it('reads the process id of an inspected container', () => {
  expect(dockerPid(fixture('20.10-container-inspect.json'))).toBeGreaterThan(0)
  expect(dockerPid({ State: { Pid: 0 } })).toBe(0)
  for (const other of [null, [], {}, { State: null }, { State: { Pid: '1' } }, { State: { Pid: 1.5 } }])
    expect(dockerPid(other)).toBeUndefined()
})
