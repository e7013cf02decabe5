/**
 * `node scripts/build-rootfs.ts FOLDER`: writes the image's root file system, and says how large it is. Run `npm run build`
 * first.
 */
import { run } from '../lab/process.ts'
import { buildRootfs } from '../lab/rootfs.ts'

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error('usage: node scripts/build-rootfs.ts FOLDER (empty or missing)')
  process.exitCode = 2
} else {
  await buildRootfs(folder)
  const [kib = ''] = (await run('du', ['-sk', folder])).split('\t')
  console.log(`${folder}: ${(Number(kib) / 1024).toFixed(0)} MiB`)
}
