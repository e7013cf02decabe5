import { SettingsError } from '../common/errors.ts'
import { exporterSettings } from './exporter-settings.ts'
import { kubernetesSettings } from './common-settings.ts'
import type { Setting } from './setting.ts'

/** The settings that `podsonar capture` shares with the exporter and the modes that know Kubernetes. */
const settings = {
  procPath: exporterSettings.procPath,
  choice: exporterSettings.runtime,
  endpoints: exporterSettings.runtimeEndpoints,
  tokenFile: exporterSettings.captureTokenFile,
  kubeconfig: kubernetesSettings.kubeconfig,
} as const

type CaptureEnvironment = {
  readonly [K in keyof typeof settings]: (typeof settings)[K] extends Setting<infer T> ? T : never
}

/** @throws SettingsError with every problem found */
export function loadCaptureEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): CaptureEnvironment {
  const problems: string[] = []
  const entries = Object.entries(settings).map(([name, one]: [string, Setting<unknown>]) => {
    const text = environment[one.env]?.trim()
    if (!text) return [name, one.default]
    const value = one.format.parse(text)
    if (value === undefined)
      problems.push(`${one.env}: expected ${one.format.accepts}: value was ${JSON.stringify(text)}`)
    return [name, value]
  })
  if (problems.length > 0) throw new SettingsError(problems)
  return Object.fromEntries(entries) as CaptureEnvironment
}
