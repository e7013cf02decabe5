/** What a Prometheus sees, from a real one or, where there is none, from a small reader of the same endpoints. */
import { request } from 'node:http'
import { pause } from '../src/common/lifecycle.ts'
import type { Prometheus } from '../lab/prometheus.ts'

/** A row of the demo's table. */
export interface SeenTarget {
  readonly job: string
  readonly cluster: string
  readonly shard: string
  /** What the target is: `namespace/pod` or a node. */
  readonly subject: string
  readonly url: string
  readonly health: 'up' | 'down' | 'unknown'
  readonly error: string
  /** Milliseconds since the epoch; undefined before the first scrape. */
  readonly scrapedAtMs: number | undefined
}

export interface TargetView extends AsyncDisposable {
  /** Who looks: shown above the table. */
  readonly name: string
  /** The page to open, if there is one. */
  readonly url: string | undefined
  targets(): Promise<readonly SeenTarget[]>
}

/** The targets of a Prometheus. */
export function prometheusView(prometheus: Prometheus): TargetView {
  return {
    name: 'Prometheus',
    // Its own pages are not in the unpacked program.
    url: `${prometheus.url}/api/v1/targets?state=active`,
    async targets() {
      const active = await prometheus.targets()
      return active.map(({ labels, scrapePool, scrapeUrl, health, lastError, lastScrape }) => ({
        job: scrapePool,
        cluster: labels['cluster'] ?? '',
        shard: labels['shard'] ?? '',
        subject: subjectOf(labels['namespace'], labels['pod'], labels['node'] ?? labels['instance'] ?? ''),
        url: scrapeUrl,
        health,
        error: lastError,
        // Prometheus gives the year 1 for a target that it has not scraped yet.
        scrapedAtMs: lastScrape.startsWith('0001') ? undefined : Date.parse(lastScrape),
      }))
    },
    [Symbol.asyncDispose]: () => prometheus[Symbol.asyncDispose](),
  }
}

function subjectOf(namespace: string | undefined, pod: string | undefined, other: string): string {
  return namespace && pod ? `${namespace}/${pod}` : other
}

/** A service as /v1/health/service/NAME lists it, as far as it is used here. */
interface HealthEntry {
  readonly Service: {
    readonly ID: string
    readonly Address: string
    readonly Port: number
    readonly Meta: Readonly<Record<string, string>>
  }
}

/**
 * Follows `/v1/health/service/NAME` by blocking queries, as consul_sd does, and requests each target every two seconds.
 */
export class DirectoryReader implements TargetView {
  readonly name = 'small reader (no Prometheus could be had)'
  readonly url = undefined
  readonly #consulUrl: string
  readonly #controller = new AbortController()
  readonly #loops: Promise<void>[]
  readonly #services = new Map<string, readonly HealthEntry[]>()
  readonly #outcomes = new Map<string, Pick<SeenTarget, 'health' | 'error' | 'scrapedAtMs'>>()

  constructor(consulUrl: string, serviceNames: readonly string[]) {
    this.#consulUrl = consulUrl
    this.#loops = [...serviceNames.map((name) => this.#follow(name)), this.#scrape()]
  }

  targets(): Promise<readonly SeenTarget[]> {
    const seen = this.#entries().map(({ Service: { ID, Address, Port, Meta } }) => {
      const url = urlOf(Address, Port, Meta['metrics_path'])
      const job = jobOf(ID, Meta)
      // As the shipped configuration: an exporter goes by its address, not by its pod.
      const pod = job === 'podsonar-exporter' ? undefined : Meta['pod_name']
      return {
        job,
        cluster: Meta['cluster_name'] ?? '',
        shard: Meta['shard_path'] ?? '',
        subject: subjectOf(Meta['namespace'], pod, Meta['instance'] ?? Meta['node_name'] ?? ''),
        url,
        ...(this.#outcomes.get(ID) ?? { health: 'unknown' as const, error: '', scrapedAtMs: undefined }),
      }
    })
    return Promise.resolve(seen)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort()
    await Promise.all(this.#loops)
  }

  #entries(): HealthEntry[] {
    return [...this.#services.values()].flat()
  }

  async #follow(name: string): Promise<void> {
    const { signal } = this.#controller
    let index = '0'
    while (!signal.aborted) {
      try {
        const answer = await fetch(`${this.#consulUrl}/v1/health/service/${name}?index=${index}&wait=30s`, {
          signal,
        })
        // The catalog answers 500 until it is complete.
        if (!answer.ok) throw new Error(await answer.text())
        this.#services.set(name, (await answer.json()) as HealthEntry[])
        index = answer.headers.get('x-consul-index') ?? '0'
      } catch {
        await pause(1_000, signal)
      }
    }
  }

  async #scrape(): Promise<void> {
    const { signal } = this.#controller
    while (!signal.aborted) {
      await Promise.all(
        this.#entries().map(async ({ Service: { ID, Address, Port, Meta } }) => {
          const error = await failureOf(urlOf(Address, Port, Meta['metrics_path']), signal)
          this.#outcomes.set(ID, { health: error === '' ? 'up' : 'down', error, scrapedAtMs: Date.now() })
        }),
      )
      await pause(2_000, signal)
    }
  }
}

function jobOf(id: string, { workload_name: workload }: Readonly<Record<string, string>>): string {
  if (workload === 'podsonar-exporter') return 'podsonar-exporter'
  return id.startsWith('node--') ? 'kubernetes-nodes-cadvisor' : 'kubernetes-pods'
}

function urlOf(address: string, port: number, path = '/metrics'): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}${path}`
}

/** Why a scrape failed, or nothing. Node's own request, since fetch() rewrites brackets in a path. */
function failureOf(url: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const scrape = request(url, { signal, timeout: 2_000 }, (response) => {
      response.resume()
      response.on('end', () => {
        resolve(response.statusCode === 200 ? '' : `server returned HTTP status ${response.statusCode ?? 0}`)
      })
      response.on('error', (error) => {
        resolve(error.message)
      })
    })
    scrape.on('timeout', () => scrape.destroy(new Error('timed out')))
    scrape.on('error', (error) => {
      resolve(error.message)
    })
    scrape.end()
  })
}
