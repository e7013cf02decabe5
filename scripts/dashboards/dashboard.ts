/** The few parts of Grafana's dashboard model that our dashboards are made of (schema version 39, Grafana 10 and later). */

/** A query and how Grafana names its series: `{{label}}` stands for a label's value. */
export interface Query {
  readonly expr: string
  readonly legend?: string
}

export interface Panel {
  readonly title: string
  /** The question that the panel answers. */
  readonly question: string
  readonly queries: readonly Query[]
  /** @default timeseries */
  readonly kind?: 'timeseries' | 'stat' | 'table' | 'bargauge'
  /** Grafana's name of the unit: `short`, `bytes`, `Bps`, `s`, `percentunit`, `ops`. @default short */
  readonly unit?: string
  /** Columns of 24. @default 8 */
  readonly width?: number
  /** Series on top of each other. */
  readonly stacked?: boolean
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

export interface Dashboard {
  /** The name of its file, and its address in Grafana. */
  readonly uid: string
  readonly title: string
  readonly description: string
  /** Names of {@link variables} that one chooses by. */
  readonly variables: readonly VariableName[]
  readonly rows: readonly Row[]
}

/** What one chooses by; the metric is one that has the label. */
const variables = {
  cluster: 'label_values(up, cluster)',
  node: 'label_values(up{cluster=~"$cluster", job="kubernetes-nodes-cadvisor"}, node)',
  namespace: 'label_values(container_sockstat_total{cluster=~"$cluster"}, namespace)',
  pod: 'label_values(container_sockstat_total{cluster=~"$cluster", namespace=~"$namespace"}, pod)',
} as const

export type VariableName = keyof typeof variables

const columns = 24
const panelHeight = 8
const datasource = { type: 'prometheus', uid: '${datasource}' }

/** The dashboard as Grafana imports it. */
export function grafanaModel(dashboard: Dashboard): Record<string, unknown> {
  return {
    uid: dashboard.uid,
    title: dashboard.title,
    description: dashboard.description,
    tags: ['podsonar'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    links: [
      {
        type: 'dashboards',
        title: 'podsonar',
        tags: ['podsonar'],
        asDropdown: true,
        keepTime: true,
        includeVars: true,
      },
    ],
    templating: { list: [datasourceVariable, ...dashboard.variables.map(queryVariable)] },
    panels: panels(dashboard.rows),
  }
}

const datasourceVariable = {
  name: 'datasource',
  label: 'Data source',
  type: 'datasource',
  query: 'prometheus',
}

function queryVariable(name: VariableName): Record<string, unknown> {
  return {
    name,
    label: name,
    type: 'query',
    datasource,
    query: { query: variables[name], refId: name },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  }
}

/** Rows below each other, the panels of a row from left to right, in lines. */
function panels(rows: readonly Row[]): Record<string, unknown>[] {
  const placed: Record<string, unknown>[] = []
  let y = 0
  for (const { title, panels: ofRow } of rows) {
    placed.push({
      id: placed.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: columns, h: 1 },
      panels: [],
    })
    y += 1
    let x = 0
    for (const panel of ofRow) {
      const w = panel.width ?? 8
      if (x + w > columns) {
        x = 0
        y += panelHeight
      }
      placed.push(panelModel(panel, placed.length + 1, { x, y, w, h: panelHeight }))
      x += w
    }
    y += panelHeight
  }
  return placed
}

function panelModel(panel: Panel, id: number, gridPos: Record<string, number>): Record<string, unknown> {
  const { title, question, queries, kind = 'timeseries', unit = 'short', stacked = false } = panel
  const instant = kind !== 'timeseries'
  return {
    id,
    type: kind,
    title,
    description: question,
    gridPos,
    datasource,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource,
      expr,
      legendFormat: legend ?? '__auto',
      ...(instant ? { instant: true, range: false } : {}),
      ...(kind === 'table' ? { format: 'table' } : {}),
    })),
    fieldConfig: {
      defaults: { unit, ...(kind === 'timeseries' ? { min: 0, custom: lines(stacked) } : {}) },
      overrides: [],
    },
    options: options[kind],
    ...(kind === 'table' ? { transformations: [withoutTime] } : {}),
  }
}

function lines(stacked: boolean): Record<string, unknown> {
  return {
    lineWidth: 1,
    fillOpacity: stacked ? 30 : 8,
    showPoints: 'never',
    stacking: { mode: stacked ? 'normal' : 'none' },
  }
}

const calc = { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false } }
const options = {
  timeseries: {
    legend: { displayMode: 'list', placement: 'bottom' },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  stat: { ...calc, graphMode: 'none', textMode: 'auto' },
  bargauge: { ...calc, orientation: 'horizontal', displayMode: 'basic' },
  table: { cellHeight: 'sm' },
}
const withoutTime = { id: 'organize', options: { excludeByName: { Time: true } } }
