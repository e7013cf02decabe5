/** One file, since a cluster has one NodePort 31112: these run one after another. */
import './targets.ts'
import './migration.ts'
