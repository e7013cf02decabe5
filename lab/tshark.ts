/** tshark, which reads back what was captured. */
import { join } from 'node:path'
import { unpacked, unpackedEnvironment } from './needs.ts'
import { run } from './process.ts'

/**
 * The packets of a pcap or pcapng file: of each the fields that are asked for, as tshark names them; empty where a packet
 * has none.
 *
 * @throws Error with tshark's words, also when the file is cut inside a packet
 */
export async function readPackets<const F extends string>(
  file: string,
  fields: readonly F[],
): Promise<Record<F, string>[]> {
  const program = join(await unpacked('tshark'), 'usr/bin/tshark')
  const wanted = fields.flatMap((field) => ['-e', field])
  const text = await run(program, ['-n', '-r', file, '-T', 'fields', '-E', 'separator=/t', ...wanted], {
    env: { ...process.env, ...unpackedEnvironment('tshark') },
  })
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const values = line.split('\t')
      return Object.fromEntries(fields.map((field, index) => [field, values[index] ?? ''])) as Record<
        F,
        string
      >
    })
}
