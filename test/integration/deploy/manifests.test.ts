import { readdirSync, readFileSync, realpathSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { renderKustomization, type KubernetesObject } from '../../../lab/kubectl.ts'
import { version } from '../../../src/common/version.ts'
import { loadInvocation } from '../../../src/config/load.ts'
import { modes, schema, type Mode } from '../../../src/config/schema.ts'
import type { Settings } from '../../../src/config/setting.ts'
import { describeWith } from '../../setup/needs.ts'
import { allowed, typeErrors, workloads, type PodSpec, type Workload } from '../../support/manifests.ts'

const root = fileURLToPath(new URL('../../../deploy/kubernetes/', import.meta.url))
const overlays = readdirSync(`${root}overlays`)
const entries = [
  'base',
  'base/registrar',
  'base/proxy',
  'base/exporter',
  ...overlays.map((one) => `overlays/${one}`),
]
const restrictedVolumes = ['configMap', 'emptyDir', 'secret', 'projected', 'downwardAPI', 'csi']

interface Model {
  new (object: KubernetesObject): { validate: () => void }
}

/** The settings that a container of ours gets: its ConfigMap's and its own, as the program would read them. */
function environment(objects: readonly KubernetesObject[], pod: PodSpec): Record<string, string> {
  const ours = pod.containers.find(({ image }) => image.startsWith('podsonar'))
  const maps = ours?.envFrom?.map(({ configMapRef }) => configMapRef?.name) ?? []
  const fromMaps = objects
    .filter(({ kind, metadata }) => kind === 'ConfigMap' && maps.includes(metadata.name))
    .map((map) => map['data'] as Record<string, string>)
  const own = Object.fromEntries(ours?.env?.map(({ name, value }) => [name, value ?? '']) ?? [])
  return Object.assign({}, ...fromMaps, own) as Record<string, string>
}

describeWith(['kubectl'], 'deploy/kubernetes', () => {
  const rendered: Record<string, KubernetesObject[]> = {}
  const objectsOf = (entry: string): KubernetesObject[] => rendered[entry] ?? []
  const workload = (entry: string, mode: Mode): Workload => {
    const found = workloads(objectsOf(entry))[`podsonar-${mode}`]
    if (found === undefined) throw new Error(`${entry} has no podsonar-${mode}`)
    return found
  }
  beforeAll(async () => {
    for (const entry of entries) rendered[entry] = await renderKustomization(root + entry)
  })

  it('renders every overlay with all three modes', () => {
    expect(overlays.sort()).toEqual(['agent', 'agent-sidecar', 'catalog'])
    for (const overlay of overlays)
      for (const mode of modes) expect(workload(`overlays/${overlay}`, mode)).toBeDefined()
  })

  it('lets the registrar see services with the component for PEER_INFO, and only then', async () => {
    await using folder = await TemporaryFolder.create('peer-info')
    const path = (one: string): string => relative(realpathSync(folder.path), `${root}${one}`)
    const kustomization = {
      resources: [path('overlays/catalog')],
      components: [path('components/peer-info')],
    }
    await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
    const objects = await renderKustomization(folder.path)
    const rules = (of: readonly KubernetesObject[]): unknown =>
      of.find(({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'podsonar-registrar')?.[
        'rules'
      ]
    const pods = { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['list', 'watch'] }
    const services = { apiGroups: [''], resources: ['services'], verbs: ['list', 'watch'] }
    expect(rules(objects)).toEqual([pods, services])
    expect(rules(objectsOf('overlays/catalog'))).toEqual([pods])
    const registrar = workloads(objects)['podsonar-registrar']
    expect(registrar && environment(objects, registrar.pod)).toMatchObject({ PEER_INFO: 'true' })
  })

  it('mounts where microk8s listens with its component, and only then', async () => {
    await using folder = await TemporaryFolder.create('microk8s')
    const path = (one: string): string => relative(realpathSync(folder.path), `${root}${one}`)
    const kustomization = {
      resources: [path('base/exporter')],
      components: [path('components/microk8s')],
    }
    await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
    const mounts = (objects: readonly KubernetesObject[]): (string | undefined)[] =>
      workloads(objects)['podsonar-exporter']?.pod.containers.flatMap(({ volumeMounts = [] }) =>
        volumeMounts.map(({ mountPath }) => mountPath),
      ) ?? []
    const socket = '/host/var/snap/microk8s/common/run'
    expect(mounts(await renderKustomization(folder.path))).toContain(socket)
    expect(mounts(objectsOf('base/exporter'))).not.toContain(socket)
  })

  it('lets the proxy know and reach pods with its component, in every overlay, and only then', async () => {
    const settings = (objects: readonly KubernetesObject[], mode: Mode): Record<string, string> => {
      const { pod } = workloads(objects)[`podsonar-${mode}`] ?? {}
      return pod === undefined ? {} : environment(objects, pod)
    }
    const egress = (objects: readonly KubernetesObject[]): unknown[] => {
      const found = objects.find(
        ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'podsonar-proxy',
      )
      return (found?.['spec'] as { egress: unknown[] }).egress
    }
    const wanted = ['list pods', 'watch pods']
    const toPods = { to: [{ namespaceSelector: {} }] }
    for (const overlay of overlays) {
      await using folder = await TemporaryFolder.create('pod-proxy')
      const path = (one: string): string => relative(realpathSync(folder.path), `${root}${one}`)
      const kustomization = {
        resources: [path(`overlays/${overlay}`)],
        components: [path('components/pod-proxy')],
      }
      await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
      const [without, objects] = [objectsOf(`overlays/${overlay}`), await renderKustomization(folder.path)]
      expect(settings(objects, 'proxy')).toEqual({ ...settings(without, 'proxy'), POD_PROXY: 'true' })
      expect(settings(objects, 'registrar')).toEqual({
        ...settings(without, 'registrar'),
        POD_ROUTE: 'proxy',
      })
      expect(allowed(objects, 'podsonar-proxy')).toEqual(
        [...allowed(without, 'podsonar-proxy'), ...wanted].sort(),
      )
      expect(allowed(without, 'podsonar-proxy')).not.toEqual(expect.arrayContaining(wanted))
      expect(egress(objects)).toEqual([...egress(without), toPods])
      expect(typeErrors(objects)).toEqual([])
    }
  }, 120_000)

  it('gives the exporter what captures need with their component, each with its reason, and only then', async () => {
    await using folder = await TemporaryFolder.create('capture')
    const path = (one: string): string => relative(realpathSync(folder.path), `${root}${one}`)
    const kustomization = { resources: [path('overlays/catalog')], components: [path('components/capture')] }
    await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
    const objects = await renderKustomization(folder.path)
    expect(typeErrors(objects)).toEqual([])
    const pod = workloads(objects)['podsonar-exporter']?.pod
    if (pod === undefined) throw new Error('no exporter')
    expect(pod.automountServiceAccountToken).toBe(true)
    expect(pod.containers.map(({ securityContext }) => securityContext)).toMatchObject([
      {
        ...{ privileged: false, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
        capabilities: {
          drop: ['ALL'],
          add: expect.arrayContaining(['SYS_ADMIN', 'NET_RAW', 'SETGID']) as unknown,
        },
      },
    ])
    const here = { ...environment(objects, pod), PROC_PATH: '/proc', NODE_NAME: '' }
    expect(loadInvocation(['exporter'], here)).toMatchObject({
      config: { capture: true, captureAuth: 'kubernetes' },
      warnings: [],
    })
    const exporterRules = ['create subjectaccessreviews', 'create tokenreviews']
    expect(allowed(objects, 'podsonar-exporter')).toEqual(exporterRules)
    expect(allowed(objectsOf('overlays/catalog'), 'podsonar-exporter')).toEqual([])
    const patch = readFileSync(`${root}components/capture/daemonset.yaml`, 'utf8')
    for (const capability of ['SYS_ADMIN', 'NET_RAW', 'SETGID'])
      expect(patch).toMatch(new RegExp(`\\n# .+\\n- op: add\\n {2}path: .+\\n {2}value: ${capability}\\n`))
  }, 120_000)

  it('gives the exporter what following TLS needs with its component, and only then', async () => {
    await using folder = await TemporaryFolder.create('requests-tls')
    const path = (one: string): string => relative(realpathSync(folder.path), `${root}${one}`)
    const kustomization = {
      resources: [path('overlays/catalog')],
      components: [path('components/requests-tls')],
    }
    await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
    const exporterOf = (objects: readonly KubernetesObject[]): [boolean, boolean] => {
      const pod = workloads(objects)['podsonar-exporter']?.pod
      if (pod === undefined) throw new Error('no exporter')
      const [container] = pod.containers
      return [
        environment(objects, pod)['OBSERVE_TLS'] === 'true',
        JSON.stringify(container?.securityContext).includes('SYS_ADMIN'),
      ]
    }
    const objects = await renderKustomization(folder.path)
    expect(typeErrors(objects)).toEqual([])
    expect(exporterOf(objects)).toEqual([true, true])
    expect(exporterOf(objectsOf('overlays/catalog'))).toEqual([false, false])
  }, 120_000)

  it('gives the exporter what short-cutting connections needs with its component, and only then', async () => {
    await using folder = await TemporaryFolder.create('sockops')
    const path = (one: string): string => relative(realpathSync(folder.path), `${root}${one}`)
    const kustomization = { resources: [path('overlays/catalog')], components: [path('components/sockops')] }
    await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
    const exporterOf = (objects: readonly KubernetesObject[]): [string | undefined, ...boolean[]] => {
      const pod = workloads(objects)['podsonar-exporter']?.pod
      if (pod === undefined) throw new Error('no exporter')
      const rights = JSON.stringify(pod.containers[0]?.securityContext)
      const { SOCKOPS } = environment(objects, pod)
      return [SOCKOPS, rights.includes('NET_ADMIN'), rights.includes('SYS_ADMIN')]
    }
    const objects = await renderKustomization(folder.path)
    expect(typeErrors(objects)).toEqual([])
    expect(exporterOf(objects)).toEqual(['true', true, true])
    expect(exporterOf(objectsOf('overlays/catalog'))).toEqual([undefined, false, false])
  }, 120_000)

  it('holds only objects that the schemas of current Kubernetes accept', async () => {
    for (const objects of Object.values(rendered)) {
      for (const object of objects) {
        const { apiVersion, kind } = object
        const path = `kubernetes-models/${apiVersion}/${kind}`
        const models = (await import(/* @vite-ignore */ path)) as Record<string, Model>
        const model = models[kind]
        expect(model, kind).toBeDefined()
        if (model) new model(object).validate()
      }
    }
  })

  it('holds no field that Kubernetes does not know', () => {
    expect(typeErrors(Object.values(rendered).flat())).toEqual([])
    const [first] = objectsOf('base/proxy')
    expect(typeErrors([{ ...(first as KubernetesObject), misspelt: true }])).toHaveLength(1)
  }, 120_000)

  describe.each(overlays.map((overlay) => `overlays/${overlay}`))('%s', (entry) => {
    it.each(modes)('sets only what the %s knows, to values that it accepts', (mode) => {
      const given = environment(objectsOf(entry), workload(entry, mode).pod)
      const known = Object.values(schema[mode] as Settings).map(({ env }) => env)
      expect(Object.keys(given).filter((name) => !known.includes(name))).toEqual([])
      // Folders of the node and what the API fills in are not here.
      const here = { ...given, PROC_PATH: '/proc', NODE_NAME: '' }
      expect(loadInvocation([mode], here)).toMatchObject({ mode, warnings: [] })
    })

    it.each(modes)('gives the %s the ports of its settings, and probes where it answers them', (mode) => {
      const { pod } = workload(entry, mode)
      const invocation = loadInvocation([mode], {
        ...environment(objectsOf(entry), pod),
        ...{ PROC_PATH: '/proc', NODE_NAME: '' },
      })
      if (!('config' in invocation)) throw new Error('no settings')
      const { config } = invocation
      const container = pod.containers.find(({ name }) => name === mode)
      const ports = Object.fromEntries(
        container?.ports?.map(({ name, containerPort }) => [name, containerPort]) ?? [],
      )
      const ops = 'opsPort' in config ? config.opsPort : config.port
      expect(ports).toEqual(mode === 'proxy' ? { scrape: config.port, metrics: ops } : { metrics: ops })
      expect(container?.livenessProbe?.httpGet).toEqual({ path: '/healthz', port: 'metrics' })
      expect(container?.startupProbe?.httpGet).toEqual({ path: '/healthz', port: 'metrics' })
      expect(container?.readinessProbe?.httpGet).toEqual({ path: '/readyz', port: 'metrics' })
      const { annotations } = workload(entry, mode)
      expect(annotations).toMatchObject({
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': String(ops),
      })
      const policy = objectsOf(entry).find(
        ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === `podsonar-${mode}`,
      )
      const { ingress } = policy?.['spec'] as { ingress: { ports: { port: number }[] }[] }
      const admitted = ingress.flatMap((rule) => rule.ports.map(({ port }) => port))
      expect(admitted).toEqual(expect.arrayContaining(Object.values(ports)))
    })

    it('has no privileged pod, and none that shares a namespace with its node', () => {
      for (const { pod } of Object.values(workloads(objectsOf(entry)))) {
        expect([pod.hostNetwork, pod.hostPID, pod.hostIPC]).toEqual([undefined, undefined, undefined])
        expect(pod.enableServiceLinks).toBe(false)
        expect(pod.securityContext?.seccompProfile?.type).toBe('RuntimeDefault')
        for (const { name, securityContext, resources } of pod.containers) {
          expect(securityContext?.privileged ?? false, name).toBe(false)
          expect(securityContext, name).toMatchObject({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          })
          expect(Object.keys(resources?.requests ?? {}), name).toEqual(['cpu', 'memory'])
          expect(resources?.limits?.['memory'], name).toBeDefined()
        }
      }
    })

    it('keeps the registrar and the proxy within the restricted pod security level', () => {
      const namespace = objectsOf(entry).find(
        ({ kind, metadata }) => kind === 'Namespace' && metadata.name === 'podsonar',
      )
      expect(namespace?.metadata.labels?.['pod-security.kubernetes.io/enforce']).toBe('restricted')
      for (const mode of ['registrar', 'proxy'] as const) {
        const { object, pod } = workload(entry, mode)
        expect(object.metadata.namespace).toBe('podsonar')
        expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65_532 })
        for (const { securityContext } of pod.containers) {
          expect(securityContext?.runAsUser).not.toBe(0)
          expect(securityContext?.capabilities?.add).toBeUndefined()
        }
        for (const { name, ...source } of pod.volumes ?? [])
          expect(restrictedVolumes, name).toEqual(expect.arrayContaining(Object.keys(source)))
        expect(pod.topologySpreadConstraints).toHaveLength(1)
      }
    })

    it('gives the exporter its node read-only, four capabilities and no token', () => {
      const { object, pod } = workload(entry, 'exporter')
      expect(object.metadata.namespace).toBe('podsonar-exporter')
      expect(pod.automountServiceAccountToken).toBe(false)
      expect(pod.containers.map(({ securityContext }) => securityContext?.capabilities?.add)).toEqual([
        ['SYS_PTRACE', 'DAC_READ_SEARCH', 'BPF', 'PERFMON'],
      ])
      for (const { name, readOnly } of pod.containers.flatMap(({ volumeMounts = [] }) => volumeMounts))
        expect(readOnly, name).toBe(true)
    })

    it('lets every selector find the pods that it is about', () => {
      const all = Object.values(workloads(objectsOf(entry)))
      const selectors = objectsOf(entry).flatMap(({ kind, metadata, spec }) => {
        const of = (spec ?? {}) as Record<string, Record<string, unknown> | undefined>
        if (kind === 'Service') return [[metadata.name, of['selector']] as const]
        if (kind === 'NetworkPolicy') return [[metadata.name, of['podSelector']?.['matchLabels']] as const]
        if (kind === 'PodDisruptionBudget') return [[metadata.name, of['selector']?.['matchLabels']] as const]
        return []
      })
      expect(selectors).toHaveLength(6)
      for (const [name, selector] of selectors) {
        const matching = all.filter(({ labels }) =>
          Object.entries(selector as Record<string, string>).every(([key, value]) => labels[key] === value),
        )
        expect(matching.map(({ object }) => object.metadata.name)).toEqual([name])
      }
    })

    it('publishes the scrape routes, and only these, where the registrar says', () => {
      const services = objectsOf(entry).filter(({ kind }) => kind === 'Service')
      expect(services).toHaveLength(1)
      expect(services[0]?.['spec']).toMatchObject({
        type: 'NodePort',
        ports: [{ port: 8080, targetPort: 'scrape', nodePort: schema.registrar.nodeProxyPort.default }],
      })
    })

    it('gives the registrar the lease that it asks for', () => {
      if (entry === 'overlays/agent') return
      const role = objectsOf(entry).find(({ kind }) => kind === 'Role')
      expect(role?.['rules']).toEqual([
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          resourceNames: [schema.registrar.leaseName.default],
          verbs: ['get', 'update'],
        },
      ])
    })

    it('runs images of this version', () => {
      const images = Object.values(workloads(objectsOf(entry)))
        .flatMap(({ pod }) => pod.containers.map(({ image }) => image))
        .filter((image) => !image.includes('consul'))
      expect([...new Set(images)]).toEqual([`podsonar:${version}`])
    })
  })

  it('has one writer at a time on the agent backend, and no lease', () => {
    const { object } = workload('overlays/agent', 'registrar')
    expect(object['spec']).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } })
    expect(objectsOf('overlays/agent').filter(({ kind }) => ['Role', 'RoleBinding'].includes(kind))).toEqual(
      [],
    )
    expect(
      environment(objectsOf('overlays/agent'), workload('overlays/agent', 'registrar').pod),
    ).toMatchObject({ CONSUL_BACKEND: 'agent' })
  })

  it('says beside each rule and each capability what it is for', () => {
    const files = ['base/registrar/rbac.yaml', 'base/proxy/rbac.yaml', 'base/exporter/daemonset.yaml']
    let checked = 0
    for (const file of files) {
      const lines = readFileSync(root + file, 'utf8').split('\n')
      const add = lines.findIndex((line) => line.trim() === 'add:')
      for (const [index, line] of lines.entries()) {
        const isRule = line.startsWith('  - apiGroups:')
        const isCapability = add !== -1 && index > add && /^\s+- [A-Z_]+$/.test(line)
        if (!isRule && !isCapability) continue
        checked += 1
        // PERFMON belongs to the reason above BPF.
        const above = lines[index - 1]?.endsWith('- BPF') === true ? lines[index - 2] : lines[index - 1]
        expect(above?.trim(), `${file}: ${line}`).toMatch(/^# /)
      }
    }
    expect(checked).toBe(9)
  })
})
