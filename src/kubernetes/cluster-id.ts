import { createHash } from 'node:crypto'
import type { ClusterConfig } from './cluster-config.ts'

/**
 * Tells one cluster from another without asking it anything: a digest of the certificate authority that its API server
 * is verified by, which every cluster makes for itself; of its address where there is none. 16 hexadecimal digits.
 */
export async function clusterIdOf(config: Pick<ClusterConfig, 'server' | 'authenticate'>): Promise<string> {
  const { ca } = await config.authenticate()
  const parts = ca === undefined ? [] : [ca].flat()
  const hash = createHash('sha256')
  if (parts.length === 0) hash.update(config.server.origin)
  for (const part of parts) hash.update(part)
  return hash.digest('hex').slice(0, 16)
}
