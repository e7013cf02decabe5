/** Modules that run in a worker thread. */

/**
 * The URL of a module beside this one, in whatever form the program runs: TypeScript as it is, or compiled.
 *
 * @param parent the caller's `import.meta.url`
 * @param name relative, without extension: `./table-worker`
 */
export function siblingModule(parent: string, name: string): URL {
  return new URL(`${name}${parent.endsWith('.ts') ? '.ts' : '.js'}`, parent)
}
