import { expect, it } from 'vitest'
import {
  effectiveCapabilities,
  explainObstacle,
  missingCapabilities,
} from '../../../../src/exporter/core/ebpf-fallback.ts'

const obstacle = {
  code: 'bpf_failed',
  message: 'Cannot load the eBPF object: EINVAL',
  messages: [],
  kernelRelease: '5.15.0-91-generic',
  capabilities: 0n,
}

it('reads the capabilities of a process from its status', () => {
  expect(effectiveCapabilities('Name:\tnode\nCapPrm:\t00\nCapEff:\t000000c000000000\n')).toBe(0xc0_0000_0000n)
  expect(effectiveCapabilities('Name:\tnode\n')).toBe(0n)
})

it('names the capabilities that are missing', () => {
  expect(missingCapabilities(0n)).toEqual(['CAP_PERFMON', 'CAP_BPF'])
  expect(missingCapabilities(1n << 38n)).toEqual(['CAP_BPF'])
  expect(missingCapabilities(0xc0_0000_0000n)).toEqual([])
})

it('takes CAP_SYS_ADMIN for both', () => {
  expect(missingCapabilities(1n << 21n)).toEqual([])
})

it('blames what forbids eBPF although the capabilities are held', () => {
  expect(explainObstacle({ ...obstacle, code: 'bpf_not_permitted', capabilities: 1n << 21n })).toMatch(
    /lockdown/,
  )
})

it("gives the verifier's last word", () => {
  const messages = [
    "libbpf: prog 'read_sockets': -- BEGIN PROG LOAD LOG --\nR1 invalid mem access\nprocessed 3 insns",
  ]
  expect(explainObstacle({ ...obstacle, code: 'bpf_refused', messages, capabilities: 1n << 21n })).toBe(
    'kernel 5.15.0-91-generic refuses the program, which needs Linux 6.1: R1 invalid mem access',
  )
})

it('gives the error itself where it knows no better', () => {
  expect(explainObstacle(obstacle)).toBe(obstacle.message)
})
