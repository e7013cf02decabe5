import { describe, expect, it } from 'vitest'
import { sidecarBounds } from '../../../../../src/exporter/core/sidecar/counts.ts'
import type { ConnectedPod } from '../../../../../src/exporter/core/sidecar/pod.ts'
import { SidecarView } from '../../../../../src/exporter/core/sidecar/view.ts'
import { event, ofCaller, plainPod, pod, toService } from './scene.ts'

const other: ConnectedPod = { ...pod, networkNamespace: 4_026_532_111 }
const inOther = { namespace: other.networkNamespace }

describe('the view of sidecars', () => {
  it('counts for each sidecar by itself, in seconds, from zero on', () => {
    const view = new SidecarView()
    view.watch([pod, other])
    view.add(ofCaller('accepted', 0, 1n))
    view.add(ofCaller('accepted', 100, 2n, inOther))
    view.add(toService('connecting', 300, 3n))
    view.add(toService('connected', 7_000_300, 3n))
    view.add(ofCaller('closed', 400, 2n, inOther))

    const [first, second, ...more] = view.read()
    expect(more).toEqual([])
    expect(first).toMatchObject({ namespace: pod.networkNamespace, container: 'istio-proxy' })
    expect(first?.counts.inside.sumSeconds).toBeCloseTo(300e-6)
    expect(first?.counts.inside.buckets[sidecarBounds.indexOf(0.000_5)]).toBe(1)
    expect(first?.counts.connect.sumSeconds).toBeCloseTo(7)
    expect(first?.counts.connect.buckets.at(-1)).toBe(1) // above every bound
    expect(first?.counts.reused).toEqual({ caller: 0, service: 0 })
    expect(second?.counts).toMatchObject({ inside: { sumSeconds: 0 }, reused: { caller: 1, service: 0 } })
  })

  it('goes on counting when containers are restarted, and ends with the pod', () => {
    const view = new SidecarView()
    view.watch([pod])
    view.add(ofCaller('accepted', 0, 1n))
    view.add(ofCaller('closed', 10, 1n))
    const restarted = {
      ...pod,
      containers: pod.containers.map((one) => (one.isSidecar ? { ...one, cgroupIds: [99] } : one)),
    }
    view.watch([restarted])
    view.add(ofCaller('accepted', 20, 2n, { cgroupId: 99 }))
    view.add(ofCaller('closed', 30, 2n, { cgroupId: 99 }))

    expect(view.read().map(({ counts }) => counts.reused.caller)).toEqual([2])

    view.watch([])
    view.add(ofCaller('accepted', 40, 3n))
    expect(view.read()).toEqual([])
  })

  it('says nothing of a pod without a sidecar, nor of connections past it', () => {
    const view = new SidecarView()
    view.watch([plainPod, other])
    view.add(event('accepted', 0, { of: 'web' }))
    view.add(event('accepted', 0, { of: 'web', ...inOther }))
    view.add(event('closed', 9, { of: 'web', ...inOther }))

    expect(view.read().map(({ namespace, counts }) => [namespace, counts.reused.caller])).toEqual([
      [other.networkNamespace, 0],
    ])
  })
})
