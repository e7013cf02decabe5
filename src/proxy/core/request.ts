import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from './refusal.ts'

/** The part of a request that is looked at before its path. */
export interface RequestHead {
  readonly method?: string | undefined
  readonly headers: IncomingHttpHeaders
}

/**
 * A scrape is a GET that carries nothing and asks for nothing else.
 *
 * @throws Refusal method_not_allowed or bad_request
 */
export function checkRequest({ method, headers }: RequestHead): void {
  if (method !== 'GET') throw new Refusal('method_not_allowed', `Cannot ${method ?? ''} here, expected GET`)
  if (headers.upgrade !== undefined)
    throw new Refusal('bad_request', 'A scrape does not upgrade its connection')
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0')
    throw new Refusal('bad_request', 'A scrape has no body')
  if (headers.trailer !== undefined) throw new Refusal('bad_request', 'A scrape has no trailer')
}
