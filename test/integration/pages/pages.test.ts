import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Chromium } from '../../../lab/chromium.ts'
import { Containerd } from '../../../lab/containerd.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { libbpfFile, missingFor } from '../../../lab/needs.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { ProxyWorld } from '../../support/proxy-world.ts'
import { marked, untilReady } from '../../support/registrar.ts'

/** What would run, or be fetched, where a page did not escape it. */
const hostile = '<img/src="http://192.0.2.1/x"onerror=alert(1)>'

describeWith(['chromium'], 'the pages, in a browser', () => {
  let chromium: Chromium

  beforeAll(async () => {
    chromium = await Chromium.start()
  })
  afterAll(() => chromium[Symbol.asyncDispose]())

  /** Opens a page as every reader would: nothing is requested but the page. */
  async function read(url: string) {
    const { page, requests } = await chromium.visit(url)
    expect(requests).toEqual([url])
    return page
  }

  describe('of the registrar', () => {
    it('show 20,000 targets a hundred at a time, find one, and run nothing that an annotation says', async () => {
      await using kubernetes = await SimulatedKubernetes.start()
      for (let k = 0; k < 20_000; k += 1)
        kubernetes.addPod({
          ...{ namespace: 'shop', name: `web-${k}`, ip: `10.${k >> 16}.${(k >> 8) & 255}.${k & 255}` },
          annotations: marked({ port: '80' }),
        })
      kubernetes.addPod({
        ...{ namespace: 'shop', name: 'hostile', ip: '10.9.9.9' },
        annotations: marked({ port: '80', path: `/${hostile}` }),
      })
      await using registrar = await Program.start(['registrar'], {
        ...{ KUBECONFIG: await kubernetes.kubeconfig(), CLUSTER_NAME: 'c1', CONSUL_ADDRESS: 'embedded' },
        CONSUL_LISTEN: '0',
      })
      await untilReady(registrar)
      const url = `${await registrar.url()}/`

      const first = await read(url)
      expect(await first.locator('#registered tbody tr').count()).toBe(100)
      expect(await first.locator('#registered nav').innerText()).toMatch(/1 to 100 of 20001\s+next/)
      await first.getByRole('link', { name: 'next' }).click()
      expect(await first.locator('#registered nav').innerText()).toContain('101 to 200 of 20001')

      await first.getByRole('searchbox').fill('WEB-1999 shop')
      await first.getByRole('button', { name: 'Filter' }).click()
      await first.waitForURL(({ searchParams }) => searchParams.has('q'))
      expect(await first.locator('#registered tbody tr').count()).toBe(11)

      const found = await read(`${url}?q=hostile`)
      expect(await found.locator('#registered tbody').innerText()).toContain(hostile)
      expect(await found.locator('img').count()).toBe(0)
      const asked = await read(`${url}?q=${encodeURIComponent(`"${hostile}`)}`)
      expect(await asked.getByRole('searchbox').inputValue()).toBe(`"${hostile}`)
      expect(await asked.locator('img').count()).toBe(0)
    })
  })

  describe('of the proxy', () => {
    it('show nodes and what last went wrong, and find by it', async () => {
      await using world = await ProxyWorld.start()
      const good = await world.addKubelet('node-good')
      const bad = await world.addKubelet('node-bad', '127.0.0.2')
      bad.behaviour = 'forbidden'
      await world.scrape('127.0.0.1', good.port)
      await world.scrape('127.0.0.2', bad.port)
      for (let k = 0; k < 1_000; k += 1) world.addNode(`idle-${k}`, [`10.0.${k >> 8}.${k & 255}`], 10_250)
      const url = `http://127.0.0.1:${world.proxy.opsPort}/`

      const all = await read(url)
      expect(await all.locator('#nodes tbody tr').count()).toBe(100)
      expect(await all.locator('#nodes nav').innerText()).toContain('of 1002')
      const refused = await read(`${url}?q=upstream_auth`)
      expect(await refused.locator('#nodes tbody tr td:first-child').allInnerTexts()).toEqual(['node-bad'])
    })
  })
})

describeWith(['chromium', 'root', 'containerd'], "the exporter's page, in a browser", () => {
  it('draws pods and their peers, light and dark, and only those that one looks for', async () => {
    await using chromium = await Chromium.start()
    await using containerd = await Containerd.start()
    const listen = ['nc', '-ll', '-p', '5432', '-e', 'cat']
    const database = await containerd.runPod({ name: 'postgres-0', namespace: 'shop', command: listen })
    const query = `sleep 1000000 | nc ${database.ip} 5432`
    await containerd.runPod({
      name: 'orders-1',
      namespace: 'shop',
      command: ['sh', '-c', `${query} & ${query}`],
    })
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: containerd.socket,
      ...(missingFor('bpf') === undefined ? { LIBBPF_PATH: libbpfFile() } : { CONNECTIONS_SOURCE: 'procfs' }),
    })
    const url = `${await exporter.url()}/`

    const titles = await waitFor('both connections to be drawn', async () => {
      const { page, requests } = await chromium.visit(url)
      expect(requests).toEqual([url])
      const all = await page.locator('svg.map path.edge title').allTextContents()
      const texts = all.map((text) => text.trim())
      return texts.some((text) => text.endsWith('2 sockets')) ? texts : undefined
    })
    expect(titles).toEqual(['orders-1 to PostgreSQL (postgres-0): 2 sockets'])

    const { page } = await chromium.visit(`${url}?q=orders`)
    expect(await page.locator('#pods tbody td:nth-child(2)').allInnerTexts()).toEqual(['orders-1'])
    expect(await page.locator('svg.map .box').count()).toBe(2)
    const colours: unknown[] = []
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page: shown } = await chromium.visit(url, { colorScheme, javaScriptEnabled: true })
      colours.push(await shown.evaluate('getComputedStyle(document.querySelector("svg.map text")).fill'))
    }
    expect(new Set(colours).size).toBe(2)
  })
})
