import { expect, it } from 'vitest'
import type { Suite } from '../../../lab/debian.ts'
import { lives } from '../../../lab/network-namespace.ts'
import { missingForMachine, runOnKernelOf } from '../../../lab/virtual-machine.ts'
import { describeWith } from '../../setup/needs.ts'

interface Outcome {
  kernel: string
  source: { name: string; reasons: string[] }
  /** How often requests were counted; or why they cannot be watched. */
  requests: Record<string, number> | string
  /** Stages of the network stack; or why they cannot be watched. */
  stack: string[] | string
  shared?: { equal: number; differ: string[] }
  own?: { equal: number; differ: string[] }
  health?: { connects: number; accepts: number; refused: number; expected: number }
}

/** Everything that test/support/compare-on-kernel.ts finds. */
async function outcomeOn(suite: Suite): Promise<Outcome> {
  const output = await runOnKernelOf(suite, 'test/support/compare-on-kernel.ts')
  const line = /outcome: (.*)$/m.exec(output.replaceAll('\r', ''))?.[1]
  if (line === undefined) throw new Error(`no outcome in: ${output.slice(-2_000)}`)
  return JSON.parse(line) as Outcome
}

const missing = missingForMachine()

describeWith(['bpf', 'containerd'], 'on a kernel of its own in a virtual machine', () => {
  it.skipIf(missing)(
    'reads Linux 6.1 (Debian 12) as /proc does, counts TCP health and requests, and times packets',
    { timeout: 300_000 },
    async () => {
      const { kernel, source, requests, stack, shared, own, health } = await outcomeOn('bookworm')

      expect(kernel).toMatch(/^6\.1\./)
      expect(source).toEqual({ name: 'ebpf', reasons: [] })
      expect(requests).toEqual({ 'http_server 200': 5, 'http_client 200': 5 })
      // Without those whose points are of Linux 6.3: tcp, udp, buffer. Who holds the socket comes and goes.
      const always = typeof stack === 'string' ? stack : stack.filter((stage) => stage !== 'receive backlog')
      expect(always).toEqual([
        ...['receive application', 'receive ip', 'receive queue', 'receive total'],
        ...['send ip', 'send queue'],
      ])
      for (const table of [shared, own]) {
        expect(table?.differ).toEqual([])
        expect(table?.equal).toBeGreaterThan(600)
      }
      const { expected } = health ?? { expected: 0 }
      expect(health).toEqual({ connects: expected, accepts: expected, refused: lives.refused, expected })
    },
  )

  it.skipIf(missing)(
    'falls back to /proc on Linux 5.10 (Debian 11), and says what it needs; requests are counted',
    { timeout: 300_000 },
    async () => {
      const { kernel, source, requests, stack } = await outcomeOn('bullseye')

      expect(kernel).toMatch(/^5\.10\./)
      expect(source.name).toBe('procfs')
      expect(requests).toEqual({ 'http_server 200': 5, 'http_client 200': 5 })
      expect(source.reasons).toEqual([
        expect.stringMatching(/kernel 5\.10\.\S+ refuses the program, which needs Linux 6\.1/),
      ])
      expect(stack).toMatch(/kernel 5\.10\.\S+ refuses the program, which needs Linux 6\.1/)
    },
  )
})
