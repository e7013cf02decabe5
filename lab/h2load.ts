/** Loads of HTTP and gRPC requests, made by nghttp2's h2load. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { multiarch } from './clang.ts'
import { unpacked } from './needs.ts'
import { Process, run } from './process.ts'

/** What a load came to. */
export interface Load {
  /** Requests that were answered. */
  readonly done: number
  readonly perSecond: number
}

export interface LoadOptions {
  readonly seconds: number
  /** Over all connections. @default as many as the server takes */
  readonly requestsPerSecond?: number
}

const connections = 16

/** Keep-alive HTTP/1.1 requests of these paths, in equal shares. */
export async function loadHttp(
  port: number,
  { seconds, requestsPerSecond, paths = ['/'] }: LoadOptions & { readonly paths?: readonly string[] },
): Promise<Load> {
  const each = Math.ceil(connections / paths.length)
  const rate =
    requestsPerSecond === undefined ? undefined : Math.round(requestsPerSecond / paths.length / each)
  // h2load asks for each URL once when it is given a time instead of a number.
  const amount =
    rate === undefined ? ['-D', String(seconds)] : ['-n', String(rate * each * seconds), `--rps=${rate}`]
  // One for each path: with a rate and several URLs it stalls.
  const loads = await Promise.all(
    paths.map((path) => h2load(['--h1', '-c', String(each), ...amount, `http://127.0.0.1:${port}${path}`])),
  )
  return {
    done: loads.reduce((sum, { done }) => sum + done, 0),
    perSecond: loads.reduce((sum, { perSecond }) => sum + perSecond, 0),
  }
}

/** The same requests, of `/`, until it is disposed of: as many as it is told, or as many as the server takes. */
export async function startHttpLoad(port: number, requestsPerSecond?: number): Promise<Process> {
  const seconds = 3_600
  const amount =
    requestsPerSecond === undefined
      ? ['-D', String(seconds)]
      : ['-n', String(requestsPerSecond * seconds), `--rps=${requestsPerSecond / connections}`]
  const { command, args, env } = await h2loadCommand()
  const url = `http://127.0.0.1:${port}/`
  return Process.start('h2load', command, [...args, '--h1', '-c', String(connections), ...amount, url], {
    env,
  })
}

/** Requests of a server that speaks HTTP/2 within TLS, ten at a time on each connection. */
export function loadHttps(port: number, { requests }: { readonly requests: number }): Promise<Load> {
  return h2load(['-c', '4', '-m', '10', '-n', String(requests), `https://127.0.0.1:${port}/loaded`])
}

/** Calls of etcd's Range, of a key that there is not, eight at a time on each connection. */
export async function loadGrpc(
  port: number,
  { seconds, folder }: LoadOptions & { readonly folder: string },
): Promise<Load> {
  const message = join(folder, 'range-request')
  // Not compressed, three bytes: field 1, the key "k".
  await writeFile(message, Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x6b]))
  const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers']
  const url = `http://127.0.0.1:${port}/etcdserverpb.KV/Range`
  return h2load(['-c', '4', '-m', '8', '-D', String(seconds), '-d', message, ...headers, url])
}

/** On the last processor: servers that are measured have the first for themselves. */
async function h2loadCommand(): Promise<{ command: string; args: string[]; env: NodeJS.ProcessEnv }> {
  const root = await unpacked('h2load')
  const env = { ...process.env, LD_LIBRARY_PATH: join(root, 'usr/lib', multiarch()) }
  return { command: 'taskset', args: ['-c', '1', join(root, 'usr/bin/h2load'), '-t', '1'], env }
}

async function h2load(options: readonly string[]): Promise<Load> {
  const { command, args, env } = await h2loadCommand()
  const output = await run(command, [...args, ...options], { env })
  const done = /(\d+) done, (\d+) succeeded/.exec(output)?.[1]
  const perSecond = /finished in [^,]+, ([\d.]+) req\/s/.exec(output)?.[1]
  if (done === undefined || perSecond === undefined || done === '0')
    throw new Error(`h2load did nothing: ${output.slice(0, 1_000)}`)
  return { done: Number(done), perSecond: Number(perSecond) }
}
