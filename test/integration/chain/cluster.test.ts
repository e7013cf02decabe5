/** One file, since a cluster has one NodePort 31112: these run one after another. */
import './dry-run.ts'
import './components.ts'
import './targets.ts'
import './migration.ts'
