/**
 * What podsonar uses of `node:http`. Importing that module makes Node load an HTTP client, undici, for the three names of it
 * that the module exports too: 13 MiB of memory that are never used. So it is asked for in another way.
 */
import type * as Http from 'node:http'

const http: typeof Http = process.getBuiltinModule('node:http')

export type Agent = Http.Agent
export const Agent: typeof Http.Agent = http.Agent
export const createServer: typeof Http.createServer = http.createServer
export const request: typeof Http.request = http.request
