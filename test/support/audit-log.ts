/** What podsonar's service accounts ask a real API server for, by its audit log. */
import { readFileSync, statSync } from 'node:fs'
import { chainSettings } from './chain.ts'

/** Its size now, to read on from there; 0 without one. In bytes. */
export function auditSize(): number {
  return chainSettings.auditLog === undefined ? 0 : statSync(chainSettings.auditLog).size
}

/** What podsonar's service accounts asked the API server for, and what of it was refused, from a place in the log on. */
export function auditedRequests(
  file: string,
  from: number,
): { byAccount: Map<string, Set<string>>; refused: string[] } {
  const byAccount = new Map<string, Set<string>>()
  const refused: string[] = []
  for (const line of readFileSync(file).subarray(from).toString().split('\n')) {
    if (line === '') continue
    const event = JSON.parse(line) as {
      verb: string
      user: { username: string }
      objectRef?: { resource: string }
      responseStatus?: { code: number }
    }
    const account = /^system:serviceaccount:podsonar[^:]*:(.+)$/.exec(event.user.username)?.[1]
    if (account === undefined) continue
    const request = `${event.verb} ${event.objectRef?.resource ?? ''}`
    if ([401, 403].includes(event.responseStatus?.code ?? 0)) refused.push(`${account}: ${request}`)
    byAccount.set(account, (byAccount.get(account) ?? new Set()).add(request))
  }
  return { byAccount, refused }
}
