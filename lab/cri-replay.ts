/** A runtime that serves CRI v1 on a socket and gives prepared answers: for runtimes that cannot run here. */
import { join } from 'node:path'
import { Server, ServerCredentials, status, type ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { programProto } from './cri.ts'
import { TemporaryFolder } from './files.ts'

type Answer = object | undefined

/**
 * Answers by method, in the camel-cased field names of proto/cri-runtime-v1.proto. A function gets the request; undefined
 * is NOT_FOUND. A method without an answer is UNIMPLEMENTED.
 */
export type CriAnswers = Readonly<
  Record<string, object | ((request: Record<string, unknown>) => Answer | Promise<Answer>)>
>

export class CriReplay implements AsyncDisposable {
  /** Path of the socket. */
  readonly socket: string
  /** Names of the methods that were called, in order. */
  readonly calls: string[] = []
  readonly #server = new Server()
  readonly #folder: TemporaryFolder

  private constructor(folder: TemporaryFolder, socket = join(folder.path, 'cri.sock')) {
    this.#folder = folder
    this.socket = socket
  }

  /** @param socket where to listen, if not in a folder of its own */
  static async start(answers: CriAnswers, socket?: string): Promise<CriReplay> {
    const replay = new CriReplay(await TemporaryFolder.create('cri'), socket)
    const service = loadSync(programProto, { longs: Number, enums: String })[
      'runtime.v1.RuntimeService'
    ] as ServiceDefinition
    const methods = Object.keys(service).filter((name) => name in answers)
    replay.#server.addService(
      service,
      Object.fromEntries(
        methods.map((name) => [
          name,
          (
            call: { request: Record<string, unknown> },
            callback: (error: object | null, value?: unknown) => void,
          ) => {
            replay.calls.push(name)
            const answer = answers[name]
            const given =
              typeof answer === 'function'
                ? (answer as (request: Record<string, unknown>) => Answer | Promise<Answer>)(call.request)
                : answer
            void Promise.resolve(given).then((value) => {
              if (value === undefined) callback({ code: status.NOT_FOUND, details: 'not found' })
              else callback(null, value)
            })
          },
        ]),
      ),
    )
    await new Promise<void>((resolve, reject) => {
      replay.#server.bindAsync(`unix:${replay.socket}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
    return replay
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown()
    await this.#folder[Symbol.asyncDispose]()
  }
}
