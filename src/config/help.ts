import { commands } from './load.ts'
import { modes, schema, type Mode } from './schema.ts'
import { flagName, type Setting, type Settings } from './setting.ts'

const modeDocs: Record<Mode, string> = {
  registrar: 'keeps Consul equal to the cluster: annotated pods and all nodes',
  proxy: "lets a Prometheus outside the cluster scrape every kubelet's cAdvisor endpoint",
  exporter: 'shows, per pod and container, connections, socket states and counters of a node',
}

/** A setting and the modes that know it, in the order of the schema. */
export interface DocumentedSetting {
  readonly setting: Setting<unknown>
  readonly modes: readonly Mode[]
  /** The default as people read it, per mode where it differs. */
  readonly defaults: string
}

/** Every setting once. */
function documentedSettings(): DocumentedSetting[] {
  const byVariable = new Map<string, { mode: Mode; setting: Setting<unknown> }[]>()
  for (const mode of modes) {
    for (const setting of Object.values(schema[mode] as Settings)) {
      byVariable.set(setting.env, [...(byVariable.get(setting.env) ?? []), { mode, setting }])
    }
  }
  return [...byVariable.values()].flatMap((uses) => {
    const [first] = uses
    if (first === undefined) return []
    const texts = uses.map(({ mode, setting }) => ({ mode, text: defaultText(setting) }))
    const same = texts.every(({ text }) => text === texts[0]?.text)
    const defaults = same
      ? defaultText(first.setting)
      : texts.map(({ mode, text }) => `${mode} ${text}`).join(', ')
    return [{ setting: first.setting, modes: uses.map(({ mode }) => mode), defaults }]
  })
}

function defaultText(setting: Setting<unknown>): string {
  if (setting.defaultDoc !== undefined) return setting.defaultDoc
  if (setting.default === undefined) return 'unset'
  if (Array.isArray(setting.default)) return setting.default.join(',')
  return typeof setting.default === 'string' ? setting.default : JSON.stringify(setting.default)
}

/** What can be asked for, and what it does. */
const usage: readonly (readonly [words: string, doc: string])[] = [
  ['[MODE] [flags]', 'run a mode (default: the variable MODE, else registrar)'],
  ...Object.entries(commands).map(([name, doc]) => [`${name} [MODE] [flags]`, doc] as const),
  ['capture POD [filter]', 'show the packets of a pod; see podsonar capture --help'],
  ['monitor SCOPE', 'show what one pod of this node does; see podsonar monitor --help'],
]

/** The text of `podsonar --help`. */
export function helpText(): string {
  const settings = documentedSettings().map(({ setting, modes: users, defaults }) => {
    const flag = setting.sensitive === true ? '(variable only)' : `--${flagName(setting)}`
    const where = users.length === modes.length ? 'all modes' : users.join(', ')
    return `  ${setting.env}  ${flag}\n      ${setting.doc}\n      ${where}; accepts ${setting.format.accepts}; default: ${defaults}\n`
  })
  return `podsonar: makes what runs in a Kubernetes cluster visible to a Prometheus outside it, through Consul.

Usage:
${usage.map(([words, doc]) => `  ${`podsonar ${words}`.padEnd(38)}${doc}`).join('\n')}
  podsonar --version | --help

Modes:
${modes.map((mode) => `  ${mode.padEnd(10)} ${modeDocs[mode]}`).join('\n')}

Settings, each an environment variable and a flag (the flag wins):
${settings.join('')}`
}

/** The text of docs/configuration.md. */
export function configurationMarkdown(): string {
  const rows = documentedSettings().map(({ setting, modes: users, defaults }) =>
    [
      `\`${setting.env}\``,
      users.length === modes.length ? 'all' : users.join(', '),
      cell(
        setting.doc +
          (setting.sensitive === true ? ' Secret: never shown, never a flag.' : '') +
          (setting.lenient === true ? ' An unusable value is a warning, and the default stands.' : ''),
      ),
      cell(setting.format.accepts),
      cell(defaults),
    ].join(' | '),
  )
  return `# Configuration

<!-- Generated from src/config by \`npm run docs\`: change it there. -->

Every setting is an environment variable and, unless it is a secret, a command-line flag of the same name
(\`SYNC_PERIOD\` is \`--sync-period 60\`, \`--sync-period=60\` or \`-sync-period=60\`). A flag wins over a variable; an empty
variable counts as unset. Everything that is wrong is reported at once, with exit status 2.
\`podsonar config MODE\` prints what is in effect, secrets masked.

| variable | modes | meaning | accepts | default |
| --- | --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join('\n')}
`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
