/** Containers for the exporter to look at: this machine's own, or a few pods in a private containerd. */
import { existsSync } from 'node:fs'
import { Containerd } from '../lab/containerd.ts'
import { missingFor, prepare } from '../lab/needs.ts'
import { note, step } from './screen.ts'

export interface Containers extends AsyncDisposable {
  readonly description: string
  /** The exporter's settings for them. */
  readonly settings: Readonly<Record<string, string>>
}

const usualSockets = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/run/crio/crio.sock',
]
const nothingToClose = { [Symbol.asyncDispose]: () => Promise.resolve() }

export async function startContainers(): Promise<Containers> {
  const own = usualSockets.find((socket) => existsSync(socket))
  if (own !== undefined)
    return { description: `this machine's own, at ${own}`, settings: {}, ...nothingToClose }
  const missing = missingFor('root') ?? (await prepare(['containerd'])).containerd
  if (missing !== undefined) return noContainers(missing)
  try {
    const { socket, owned } = await step('starting a private containerd with three pods', startPods)
    return {
      description: 'a private containerd with three pods, two of them connected to the third',
      settings: { RUNTIME_ENDPOINT: `unix://${socket}` },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    }
  } catch (error) {
    // As root in a container without its privileges, for example.
    return noContainers(error instanceof Error ? error.message : String(error))
  }
}

function noContainers(why: string): Containers {
  note(`no containers for the exporter, it shows the host's own connections (${why})`)
  return { description: 'none', settings: {}, ...nothingToClose }
}

/** A database and two pods that hold connections to it. */
async function startPods(): Promise<{ socket: string; owned: AsyncDisposableStack }> {
  await using owned = new AsyncDisposableStack()
  const containerd = owned.use(await Containerd.start())
  const listen = ['nc', '-ll', '-p', '5432', '-e', 'cat']
  const database = await containerd.runPod({ name: 'postgres-0', namespace: 'shop', command: listen })
  const query = `sleep 1000000 | nc ${database.ip} 5432`
  for (const name of ['orders-5d8f7-2xkqp', 'orders-5d8f7-9vl4m']) {
    await containerd.runPod({ name, namespace: 'shop', command: ['sh', '-c', `${query} & ${query}`] })
  }
  return { socket: containerd.socket, owned: owned.move() }
}
