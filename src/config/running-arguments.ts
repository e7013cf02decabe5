/** How podsonar is called in its image and by npm, and its entry point as Node.js sees it. */
const program = /(^|\/)(podsonar|main\.js|main\.ts)$/

/**
 * The words after the program's name in the command line of a process, wherever what started it (an init, node and its flags)
 * ends. Source: proc_pid_cmdline(5): words that end with a null byte.
 *
 * @returns undefined when the process is not podsonar
 */
export function runningArguments(commandLine: string): string[] | undefined {
  const words = commandLine.replace(/\0$/, '').split('\0')
  const at = words.findIndex((word) => program.test(word))
  return at === -1 ? undefined : words.slice(at + 1)
}
