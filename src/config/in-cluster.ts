/**
 * The API server as Kubernetes tells every pod, in variables that are nobody's to set; undefined outside of a pod.
 * Source: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod
 */
export function inClusterServer(): string | undefined {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '' } = process.env
  if (host === '' || port === '') return undefined
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
}
