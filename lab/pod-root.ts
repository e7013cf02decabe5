/** A root folder as a pod has it: this machine's programs, folders of its own for the rest. Needs root, and `unshare`. */
import { entry, Program } from './program.ts'

/** Builds the root in a mount namespace that ends with the program, and starts the program in it. */
const script = `
set -e
root=/mnt
mount -t tmpfs tmpfs "$root"
for path in /*; do
  case "$path" in
    /run | /var | /host | /mnt) continue ;;
  esac
  if [ -L "$path" ]; then cp -P "$path" "$root$path"
  elif [ -d "$path" ]; then mkdir "$root$path"; mount --rbind "$path" "$root$path"
  fi
done
while [ "$1" != -- ]; do
  mkdir -p "$root$1"
  mount --rbind "$2" "$root$1"
  shift 2
done
shift
exec chroot "$root" "$@"
`

/**
 * Starts `podsonar exporter` where /run and /var are empty but for `folders`.
 *
 * @param folders of this machine by their paths in the new root
 */
export function startInPodRoot(
  folders: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, string>>,
): Promise<Program> {
  const mounts = Object.entries(folders).flat()
  const args = ['--mount', 'sh', '-c', script, 'sh', ...mounts, '--', entry, 'exporter']
  return Program.start(args, settings, 'unshare')
}
