import { realpathSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { renderKustomization, type KubernetesObject } from '../../../lab/kubectl.ts'
import { describeWith } from '../../setup/needs.ts'
import { apply, knownToCluster, remove } from '../../support/chain.ts'

const shipped = fileURLToPath(new URL('../../../deploy/kubernetes', import.meta.url))

describeWith(['Kubernetes cluster', 'kubectl'], 'what a real API server says of the manifests', () => {
  let folder: TemporaryFolder
  let namespaces: KubernetesObject[] = []
  const render = async (overlay: string, components: readonly string[] = []) => {
    const path = (...one: string[]): string =>
      relative(realpathSync(folder.path), realpathSync(join(shipped, ...one)))
    const kustomization = {
      resources: [path('overlays', overlay)],
      components: components.map((name) => path('components', name)),
    }
    await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
    return renderKustomization(folder.path)
  }
  /** Has the API server check all, keep nothing, and answer for each object. */
  const check = async (objects: readonly KubernetesObject[]): Promise<void> => {
    const known = await knownToCluster(objects)
    expect(['', 'PodDisruptionBudget']).toContain(known.leftOut.join())
    const said = (await apply(folder.path, known.objects, ['--dry-run=server'])).trim().split('\n')
    expect(said).toHaveLength(known.objects.length)
    for (const line of said) expect(line).toMatch(/ (created|configured|unchanged) \(server dry run\)$/)
  }

  beforeAll(async () => {
    folder = await TemporaryFolder.create('dry-run')
    // What goes into a namespace is checked only where there is one.
    namespaces = (await render('catalog')).filter(({ kind }) => kind === 'Namespace')
    await apply(folder.path, namespaces)
  }, 120_000)
  afterAll(async () => {
    await remove(namespaces)
    await folder[Symbol.asyncDispose]()
  }, 300_000)

  it('takes every overlay, alone and with each component and all of them', async () => {
    const components = await readdir(join(shipped, 'components'))
    expect(components).toContain('capture')
    for (const overlay of await readdir(join(shipped, 'overlays')))
      for (const chosen of [[], ...components.map((name) => [name]), components])
        await check(await render(overlay, chosen))
  }, 300_000)

  it('refuses what is wrong, so that the check can fail', async () => {
    const wrong = (await render('catalog')).map((object) =>
      object.kind === 'Service'
        ? { ...object, spec: { type: 'NodePort', ports: [{ port: 70_000 }] } }
        : object,
    )
    await expect(check(wrong)).rejects.toThrow(/70000/)
  })
})
