/** The layers of docs/architecture.md, as rules: each names what it protects. */
const soleImporter = (name, packages, folder) => ({
  name,
  comment: `Only ${folder} may import ${packages}: one place to change when the library does.`,
  severity: 'error',
  from: { path: '^src/', pathNot: folder },
  to: { path: `^node_modules/(${packages})/`, dependencyTypesNot: ['type-only'] },
})
const modes = ['registrar', 'proxy', 'exporter']

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '^src/main\\.ts$|\\.d\\.ts$' },
      to: {},
    },
    ...modes.map((mode) => ({
      name: `${mode}-stands-alone`,
      comment: 'Modes never import each other.',
      severity: 'error',
      from: { path: `^src/${mode}/` },
      to: { path: `^src/(${modes.filter((other) => other !== mode).join('|')})/` },
    })),
    {
      name: 'core-is-pure',
      comment:
        'core/ imports nothing that does I/O: only core/, the pure parts of kubernetes/, common errors, and types.',
      severity: 'error',
      from: { path: '^src/[^/]+/core/' },
      to: {
        pathNot: [
          '^src/[^/]+/core/',
          '^src/kubernetes/(scrape-target|records)\\.ts$',
          '^src/common/(errors|text|ip|exposition|label-selector)\\.ts$',
          '^(node:)?(net|crypto|buffer|util)$',
          // Two tables as plain data.
          '^node_modules/hpack\\.js/',
        ],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'common-and-config-are-below-all',
      severity: 'error',
      from: { path: '^src/(common|config)/' },
      to: { path: '^src/(kubernetes|registrar|proxy|exporter|capture|monitor)/' },
    },
    {
      name: 'kubernetes-is-below-the-modes',
      severity: 'error',
      from: { path: '^src/kubernetes/' },
      to: { path: '^src/(registrar|proxy|exporter|capture|monitor)/' },
    },
    {
      name: 'main-imports-modes-dynamically',
      comment: 'A registrar never loads what only an exporter needs.',
      severity: 'error',
      from: { path: '^src/main\\.ts$' },
      to: {
        path: '^src/(registrar|proxy|exporter|capture|monitor|kubernetes)/',
        dependencyTypesNot: ['dynamic-import', 'type-only'],
      },
    },
    {
      name: 'program-stands-alone',
      comment: 'src/ never imports what only tests, benchmarks and the demo use.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(lab|demo|bench|test|scripts)/' },
    },
    soleImporter('only-config-imports-convict', 'convict', '^src/config/'),
    soleImporter('only-kubernetes-imports-client-node', '@kubernetes/client-node', '^src/kubernetes/'),
    soleImporter('only-registrar-consul-imports-consul', 'consul', '^src/registrar/consul/'),
    soleImporter('only-upstream-imports-http-proxy', 'http-proxy', '^src/proxy/upstream\\.ts$'),
    soleImporter('only-cri-imports-grpc', '@grpc/[^/]+', '^src/exporter/runtimes/cri\\.ts$'),
    soleImporter(
      'only-libbpf-and-veth-import-koffi',
      'koffi',
      '^src/(exporter/ebpf/libbpf|capture/veth-worker)\\.ts$',
    ),
    soleImporter('only-logger-imports-pino', 'pino(-pretty)?', '^src/common/logger\\.ts$'),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
