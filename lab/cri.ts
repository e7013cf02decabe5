/** Calls of the Container Runtime Interface that the lab makes in the kubelet's place. */
import { fileURLToPath } from 'node:url'
import { Client, credentials, type ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const services = loadSync(fileURLToPath(new URL('proto/cri-pods.proto', import.meta.url)))

/** A connection to a runtime. Messages are plain objects with the camel-cased field names of lab/proto/cri-pods.proto. */
export class Cri implements Disposable {
  readonly #client: Client

  constructor(socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure())
  }

  /** @throws the gRPC error, or after a minute */
  call<T = unknown>(service: 'RuntimeService' | 'ImageService', method: string, request: object): Promise<T> {
    const definition = (services[`runtime.v1.${service}`] as ServiceDefinition)[method]
    if (definition === undefined) throw new Error(`lab/proto/cri-pods.proto has no ${service}.${method}`)
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
