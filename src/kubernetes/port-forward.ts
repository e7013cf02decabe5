import { Duplex, PassThrough, Writable } from 'node:stream'
import { describeError, PodsonarError } from '../common/errors.ts'
import type { ClusterConfig } from './cluster-config.ts'

/** A port of a pod. */
export interface PortAddress {
  readonly namespace: string
  readonly pod: string
  readonly port: number
}

/** The part of a web socket (package ws) that the library hands out and its types leave out. */
interface Socket {
  pause(): void
  resume(): void
  close(): void
  on(event: 'close', listener: () => void): void
}

/**
 * A connection to a port of a pod, through the API server: `kubectl port-forward`, as a stream. Needs the rights to get and
 * to create pods/portforward there: which of them is asked for depends on the server's version.
 *
 * @throws PodsonarError `port_forward_failed`
 */
export async function forwardPort(config: ClusterConfig, to: PortAddress): Promise<Duplex> {
  const toPod = new PassThrough()
  const fromPod = new PassThrough()
  const connection: { socket?: Socket } = {}
  // The library does not wait for room: a reader that is slow holds the socket instead.
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (!fromPod.write(chunk)) connection.socket?.pause()
      done()
    },
  })
  fromPod.on('drain', () => connection.socket?.resume())
  let complaint = ''
  const complaints = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      complaint += chunk.toString('utf8')
      done()
    },
  })
  const stream = Duplex.from({ writable: toPod, readable: fromPod })
  try {
    const forward = await openForward(config)
    const socket: unknown = await forward.portForward(
      to.namespace,
      to.pod,
      [to.port],
      output,
      complaints,
      toPod,
    )
    connection.socket = socket as Socket
  } catch (cause) {
    stream.destroy()
    throw failed(to, describeError(cause))
  }
  const { socket } = connection
  socket.on('close', () => {
    if (complaint === '') fromPod.end()
    else stream.destroy(failed(to, complaint))
  })
  stream.on('close', () => {
    socket.close()
  })
  return stream
}

/** The library's port-forward with our credentials; it is loaded only here, since it takes 80 MB. */
async function openForward(config: ClusterConfig): Promise<{
  portForward(...args: readonly [string, string, number[], Writable, Writable, PassThrough]): Promise<unknown>
}> {
  const { KubeConfig, PortForward } = await import('@kubernetes/client-node')
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromClusterAndUser(
    { name: 'cluster', server: config.server.href.replace(/\/$/, ''), skipTLSVerify: false },
    { name: 'user' },
  )
  kubeConfig.applyToHTTPSOptions = async (options) => {
    Object.assign(options, await config.authenticate())
  }
  return new PortForward(kubeConfig)
}

function failed({ namespace, pod, port }: PortAddress, why: string): PodsonarError {
  return new PodsonarError(
    'port_forward_failed',
    `Cannot forward port ${port} of pod ${namespace}/${pod}: ${why.trim() || 'the API server refused'}, ` +
      'expected the rights to get and create pods/portforward',
  )
}
