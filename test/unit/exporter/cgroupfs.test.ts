import { mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { Cgroupfs } from '../../../src/exporter/cgroupfs.ts'
import { NestedCgroups } from '../../../src/exporter/nested-cgroups.ts'
import { container } from '../../support/containers.ts'

const ofContainer = {
  unified: '/kubepods/pod1/abc',
  byController: new Map([['memory', '/kubepods/pod1/abc']]),
}

/** A folder as the kernel mounts it, as far as it is looked at. */
function hierarchy(root: string, ...markers: readonly string[]): string {
  const folder = join(root, 'kubepods/pod1/abc')
  mkdirSync(folder, { recursive: true })
  for (const marker of markers) writeFileSync(join(root, marker), '')
  return folder
}

it('finds the id of a cgroup in a pure version 2 hierarchy', async () => {
  await using root = await TemporaryFolder.create('cgroup')
  const folder = hierarchy(root.path, 'cgroup.controllers', 'cgroup.procs')
  const cgroupfs = new Cgroupfs(root.path)

  expect(cgroupfs.idOf({ ...ofContainer, byController: new Map() })).toBe(statSync(folder).ino)
  expect(cgroupfs.idOf({ unified: '/gone', byController: new Map() })).toBe(0)
})

it('finds the id in the version 2 hierarchy beside version 1', async () => {
  await using root = await TemporaryFolder.create('cgroup')
  hierarchy(join(root.path, 'memory'), 'cgroup.procs')
  const folder = hierarchy(join(root.path, 'unified'), 'cgroup.controllers', 'cgroup.procs')

  expect(new Cgroupfs(root.path).idOf(ofContainer)).toBe(statSync(folder).ino)
})

it('knows no id where there is no version 2 hierarchy, nor in its root', async () => {
  await using root = await TemporaryFolder.create('cgroup')
  hierarchy(join(root.path, 'memory'), 'cgroup.procs')
  expect(new Cgroupfs(root.path).idOf(ofContainer)).toBe(0)

  hierarchy(root.path, 'cgroup.controllers')
  expect(new Cgroupfs(root.path).idOf({ unified: '/', byController: new Map() })).toBe(0)
})

it('finds the container of a cgroup that was made in it, also when the cgroup is gone', async () => {
  await using root = await TemporaryFolder.create('cgroup')
  const folder = hierarchy(root.path, 'cgroup.controllers')
  const nested = join(folder, 'docker/def')
  mkdirSync(nested, { recursive: true })
  const foreign = join(root.path, 'system.slice')
  mkdirSync(foreign)
  const cgroupfs = new Cgroupfs(root.path)
  const cgroupId = cgroupfs.idOf(ofContainer)
  const containers = [container('main', { cgroups: ofContainer, cgroupId })]
  const ids = [nested, join(folder, 'docker'), foreign].map((path) => statSync(path).ino)
  const cgroups = new NestedCgroups(cgroupfs)

  cgroups.learn(containers, [0, cgroupId, ...ids])
  expect(ids.map(cgroups.resolve)).toEqual([cgroupId, cgroupId, ids[2]])
  expect(cgroups.resolve(cgroupId)).toBe(cgroupId)

  rmdirSync(nested)
  cgroups.learn(containers, [...ids, ids[2]! + 1_000_000])
  expect(cgroups.resolve(ids[0]!)).toBe(cgroupId)
  cgroups.learn([], [ids[2]! + 2_000_000])
  expect(cgroups.resolve(ids[0]!)).toBe(ids[0])
})
