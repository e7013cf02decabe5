/** Calls of the Container Runtime Interface that the lab makes in the kubelet's place. */
import { fileURLToPath } from 'node:url'
import { Client, credentials, type ServiceDefinition } from '@grpc/grpc-js'
import { loadSync, type PackageDefinition } from '@grpc/proto-loader'

/** What runs pods. */
const podsProto = fileURLToPath(new URL('proto/cri-pods.proto', import.meta.url))
/** What the exporter reads. */
export const programProto: string = fileURLToPath(new URL('../proto/cri-runtime-v1.proto', import.meta.url))

/** A connection to a runtime. Messages are plain objects with the camel-cased field names of the proto file. */
export class Cri implements Disposable {
  readonly #client: Client
  readonly #services: PackageDefinition

  constructor(socket: string, protoFile = podsProto) {
    this.#services = loadSync(protoFile, { longs: Number, enums: String })
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure())
  }

  /** @throws the gRPC error, or after a minute */
  call<T = unknown>(service: 'RuntimeService' | 'ImageService', method: string, request: object): Promise<T> {
    const definition = (this.#services[`runtime.v1.${service}`] as ServiceDefinition)[method]
    if (definition === undefined) throw new Error(`the proto file has no ${service}.${method}`)
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize as (bytes: Buffer) => T,
        request,
        { deadline: Date.now() + 60_000 },
        (error, response) => {
          if (error !== null || response === undefined)
            reject(new Error(`Cannot ${method}: ${error?.details ?? 'no response'}`, { cause: error }))
          else resolve(response)
        },
      )
    })
  }

  [Symbol.dispose](): void {
    this.#client.close()
  }
}
