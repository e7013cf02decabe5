import { identityOf, type ApiService } from './api-objects.ts'
import type { ServiceObjectRecord } from './records.ts'

/**
 * Keeps of a v1.Service, as JSON of a list or watch, what podsonar uses. Pure.
 *
 * @throws Error when it has no name or UID
 */
export function projectService(object: unknown): ServiceObjectRecord {
  const { metadata, spec } = object as ApiService
  const { uid, name } = identityOf('service', metadata)
  // Servers before 1.20 have the one address only; "None" is that of a headless service.
  const addresses = spec?.clusterIPs ?? [spec?.clusterIP ?? '']
  const clusterIps = addresses.filter((address) => address !== '' && address !== 'None')
  return { uid, name, namespace: metadata?.namespace ?? '', clusterIps }
}
