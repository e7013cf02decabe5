import { SettingsError } from '../common/errors.ts'
import { exporterSettings } from './exporter-settings.ts'
import { kubernetesSettings } from './common-settings.ts'
import type { Setting, Settings, Values } from './setting.ts'

/** The settings that `podsonar capture` shares with the exporter and the modes that know Kubernetes. */
const captureSettings = {
  procPath: exporterSettings.procPath,
  choice: exporterSettings.runtime,
  endpoints: exporterSettings.runtimeEndpoints,
  tokenFile: exporterSettings.captureTokenFile,
  kubeconfig: kubernetesSettings.kubeconfig,
} as const

/** Those that `podsonar monitor` shares with the exporter, and its own. */
const monitorSettings = {
  procPath: exporterSettings.procPath,
  cgroupPath: exporterSettings.cgroupPath,
  choice: exporterSettings.runtime,
  endpoints: exporterSettings.runtimeEndpoints,
  libbpf: exporterSettings.libbpfPath,
  nodeName: exporterSettings.nodeName,
  sidecarNames: exporterSettings.sidecarNames,
  sidecarImages: exporterSettings.sidecarImages,
} as const

/** What `podsonar capture` reads of the environment. @throws SettingsError with every problem found */
export function loadCaptureEnvironment(environment: Environment): Values<typeof captureSettings> {
  return load(captureSettings, environment)
}

/** What `podsonar monitor` reads of the environment. @throws SettingsError with every problem found */
export function loadMonitorEnvironment(environment: Environment): Values<typeof monitorSettings> {
  return load(monitorSettings, environment)
}

type Environment = Readonly<Record<string, string | undefined>>

function load<S extends Settings>(settings: S, environment: Environment): Values<S> {
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
  return Object.fromEntries(entries) as Values<S>
}
