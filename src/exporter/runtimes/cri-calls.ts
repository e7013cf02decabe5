/** The calls of the Container Runtime Interface, as proto/cri-runtime-v1.proto defines them. */
import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'

/** A call without a stream: its gRPC path, and how its messages are written and read. */
export interface CriCall {
  readonly path: string
  readonly encode: (request: object) => Buffer
  readonly decode: (answer: Uint8Array) => unknown
}

const service = 'runtime.v1.RuntimeService'
/** Numbers rather than objects for 64 bits; names of enum values; what was not sent has its default. */
const asObjects = { longs: Number, enums: String, defaults: true } as const

/** Read at the start, where nobody waits: it takes 10 ms. */
const root = new protobuf.Root().loadSync(
  fileURLToPath(new URL('../../../proto/cri-runtime-v1.proto', import.meta.url)),
)

/** @throws TypeError when the file defines no such call */
export function criCall(name: string): CriCall {
  const method = root.lookupService(service).methods[name]
  if (method === undefined) throw new TypeError(`The CRI proto file has no ${name}`)
  method.resolve()
  const { resolvedRequestType: request, resolvedResponseType: answer } = method
  if (request === null || answer === null)
    throw new TypeError(`The CRI proto file has no messages of ${name}`)
  return {
    path: `/${service}/${name}`,
    encode: (object) => Buffer.from(request.encode(request.fromObject(object)).finish()),
    decode: (bytes) => answer.toObject(answer.decode(bytes), asObjects),
  }
}
