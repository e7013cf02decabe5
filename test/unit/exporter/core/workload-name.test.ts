import { expect, it } from 'vitest'
import { workloadName } from '../../../../src/exporter/core/workload-name.ts'

it.each([
  ['web-6d9467768-ldx8n', {}, 'web'],
  ['fluent-bit-x7k2z', {}, 'fluent-bit'],
  ['cart-0', {}, 'cart'],
  ['backup-28391040-q2v7k', {}, 'backup-28391040'],
  ['alone', {}, 'alone'],
  ['web-6d9467768-ldx8n', { app: 'shop' }, 'shop'],
  ['web-6d9467768-ldx8n', { app: 'shop', 'app.kubernetes.io/name': 'front' }, 'front'],
  ['web-6d9467768-ldx8n', { app: '' }, 'web'],
])('the workload of %s with the labels %j is %s', (name, labels, workload) => {
  expect(workloadName({ name, labels })).toBe(workload)
})
