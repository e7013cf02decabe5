import { exporterConflicts, exporterSettings, type ExporterConfig } from './exporter-settings.ts'
import { proxyConflicts, proxySettings, type ProxyConfig } from './proxy-settings.ts'
import { registrarSettings, type RegistrarConfig } from './registrar-settings.ts'
import type { Settings } from './setting.ts'

export const modes = ['registrar', 'proxy', 'exporter'] as const
export type Mode = (typeof modes)[number]

/** Every setting of every mode: the only list there is. */
export const schema = {
  registrar: registrarSettings,
  proxy: proxySettings,
  exporter: exporterSettings,
} satisfies Record<Mode, Settings>

/** A mode and its settings. */
export type ModeConfig =
  | { readonly mode: 'registrar'; readonly config: RegistrarConfig }
  | { readonly mode: 'proxy'; readonly config: ProxyConfig }
  | { readonly mode: 'exporter'; readonly config: ExporterConfig }

/** Settings of a mode that are good one by one and wrong together: a sentence for each conflict. */
export function conflicts({ mode, config }: ModeConfig): readonly string[] {
  switch (mode) {
    case 'registrar':
      return []
    case 'proxy':
      return proxyConflicts(config)
    case 'exporter':
      return exporterConflicts(config)
  }
}
