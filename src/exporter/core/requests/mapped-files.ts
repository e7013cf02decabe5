/** Which files of a process hold a TLS library: /proc/PID/maps, see proc(5). */

/** `libssl.so.3`, `libssl-3e69114b.so.1.1`; not Mozilla's `libssl3.so`, which is another library. */
const opensslName = /\/libssl[-.][^/]*$/

/**
 * Paths as the process sees them: libraries of OpenSSL's name, else the program itself, which may have OpenSSL within it.
 *
 * @param maps text of /proc/PID/maps
 * @param program what /proc/PID/exe names
 */
export function tlsCandidates(maps: string, program: string): string[] {
  const libraries = new Set<string>()
  for (const line of maps.split('\n')) {
    const [, permissions = '', path = ''] = /^\S+ (\S+) \S+ \S+ \d+ +(\/.*)$/.exec(line) ?? []
    if (permissions.includes('x') && opensslName.test(path)) libraries.add(path)
  }
  return [...(libraries.size > 0 ? libraries : [program])].filter((path) => !path.endsWith(' (deleted)'))
}
