import { describe, expect, it } from 'vitest'
import { snapshotOf } from '../../../../src/exporter/core/containers.ts'
import { LabelMaker } from '../../../../src/exporter/core/labels.ts'
import { container, pod } from '../../../support/containers.ts'

describe('labels', () => {
  const main = container('main', {
    pod: pod('web', { labels: { app: 'a', 'x.io/y': 'b' } }),
    networkNamespace: 5,
  })

  it('are those of cAdvisor, with the cgroup of the pod for its namespace', () => {
    const { namespaces } = snapshotOf([main], { inode: 1, pid: 1 })
    const labels = new LabelMaker()
    expect(namespaces.map((namespace) => labels.namespace(namespace))).toEqual([
      'container="",id="/",image="",name="",namespace="",pod=""',
      'container="",id="/pods/uid",image="",name="",namespace="default",pod="web"',
    ])
    expect(labels.container(main)).toBe(
      'container="main",id="/pods/uid/main",image="image",name="id-main",namespace="default",pod="web"',
    )
    expect(labels.connection(main.pod, 'main')).toBe(
      'pod_name="web",pod_namespace="default",container="main"',
    )
  })

  it('name a plain container as Docker does', () => {
    const redis = container('redis')
    const [namespace] = snapshotOf([redis], undefined).namespaces
    expect(new LabelMaker().namespace(namespace!)).toBe(
      'container="",id="/pods/uid/redis",image="image",name="redis",namespace="",pod=""',
    )
  })

  it('carry chosen pod labels', () => {
    expect(new LabelMaker(['x.io/y', 'none']).connection(main.pod, '')).toMatch(/,label_x_io_y="b"$/)
    expect(new LabelMaker(['*']).connection(main.pod, '')).toMatch(/,label_app="a",label_x_io_y="b"$/)
    expect(new LabelMaker(['*']).connection(undefined, '')).toMatch(/container=""$/)
  })
})
