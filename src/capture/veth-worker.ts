/** Runs in a worker, since it moves its thread through network namespaces: finds the node's end of a pod's cable. */
import { parentPort, workerData } from 'node:worker_threads'
import koffi from 'koffi'
import { describeError } from '../common/errors.ts'
import { linkRequest, namespaceIdRequest, parseLink, parseNamespaceId } from './core/netlink.ts'
import type { VethAnswer, VethQuestion } from './veth.ts'

const libc = koffi.load('libc.so.6')
const native = {
  setns: libc.func('int setns(int fd, int type)'),
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  send: libc.func('int64 send(int fd, const void *data, size_t length, int flags)'),
  recv: libc.func('int64 recv(int fd, void *data, size_t length, int flags)'),
  close: libc.func('int close(int fd)'),
} as const

const cloneNewNet = 0x4000_0000
/** AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE. */
const routeSocket = [16, 3 | 0o2000000, 0] as const
/** An interface with all its attributes takes 1 to 3 KiB; with many virtual functions more. */
const answerBytes = 65_536

function call(name: keyof typeof native, ...args: readonly unknown[]): number {
  const result = Number(native[name](...args))
  if (result < 0) throw new Error(`${name} failed with errno ${koffi.errno()}`)
  return result
}

/** One question, one answer, in the namespace that this thread is in. */
function ask(request: Buffer): Buffer {
  const socket = call('socket', ...routeSocket)
  try {
    call('send', socket, request, request.length, 0)
    const answer = Buffer.alloc(answerBytes)
    return answer.subarray(0, call('recv', socket, answer, answer.length, 0))
  } finally {
    call('close', socket)
  }
}

function find({ pod, host, device }: VethQuestion): VethAnswer {
  call('setns', pod, cloneNewNet)
  const ours = {
    link: parseLink(ask(linkRequest({ name: device }))),
    hostId: parseNamespaceId(ask(namespaceIdRequest(host))),
  }
  const { peerIndex, peerNamespaceId, kind } = ours.link
  if (kind !== 'veth') return { problem: `it is of kind ${JSON.stringify(kind)}` }
  if (peerIndex === undefined || peerNamespaceId === undefined || peerNamespaceId !== ours.hostId)
    return { problem: 'its other end is not in the network namespace of the node' }
  call('setns', host, cloneNewNet)
  const theirs = {
    link: parseLink(ask(linkRequest({ index: peerIndex }))),
    podId: parseNamespaceId(ask(namespaceIdRequest(pod))),
  }
  const isPair =
    theirs.link.kind === 'veth' &&
    theirs.link.peerIndex === ours.link.index &&
    theirs.link.peerNamespaceId === theirs.podId
  return isPair
    ? { name: theirs.link.name }
    : { problem: `interface ${peerIndex} of the node is not its other end` }
}

function answer(): VethAnswer {
  try {
    return find(workerData as VethQuestion)
  } catch (error) {
    return { problem: describeError(error) }
  }
}

parentPort?.postMessage(answer())
