import type { IncomingMessage, ServerResponse } from 'node:http'

/** Answers one request; may throw, and then the client gets a 500 as JSON. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

/** Sends a whole text. HEAD gets the headers only (Node leaves the body out). */
export function sendText(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  response.end(body)
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendText(response, status, 'application/json; charset=utf-8', `${JSON.stringify(value)}\n`)
}

/** An error for programs and people: a stable code and a sentence. */
export function sendError(response: ServerResponse, status: number, error: string, message: string): void {
  sendJson(response, status, { error, message })
}
