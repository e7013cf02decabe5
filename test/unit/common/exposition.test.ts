import { describe, expect, it } from 'vitest'
import { Family, joinLabels, labelName, renderLabels } from '../../../src/common/exposition.ts'

describe('a metric family', () => {
  it('writes samples with and without labels', () => {
    const family = new Family('a_bytes', 'gauge', 'What a is.')
    family.add('', 1)
    family.add(renderLabels({ x: '1', y: '' }), 0.5)
    expect(family.render('prometheus')).toBe(
      '# HELP a_bytes What a is.\n# TYPE a_bytes gauge\na_bytes 1\na_bytes{x="1",y=""} 0.5\n',
    )
    expect(family.size).toBe(2)
  })

  it('takes lines that its caller writes, in order', () => {
    const family = new Family('a', 'gauge', 'b')
    family.add('x="1"', 1)
    family.addLines((lines) => {
      lines.ascii('a{x="2"} ')
      lines.number(4_294_967_295)
      lines.ascii('\n')
      lines.append(Buffer.from('a{x="é"} 3\n'))
      return 2
    })
    family.addLines(() => 0)
    family.add('x="4"', 4)
    expect(family.size).toBe(4)
    expect(family.render('prometheus')).toBe(
      '# HELP a b\n# TYPE a gauge\na{x="1"} 1\na{x="2"} 4294967295\na{x="é"} 3\na{x="4"} 4\n',
    )
  })

  it('names a counter without _total in its OpenMetrics header', () => {
    const family = new Family('a_total', 'counter', 'b')
    family.add('', 3)
    expect(family.render('openmetrics')).toBe('# HELP a b\n# TYPE a counter\na_total 3\n')
    expect(family.render('prometheus')).toContain('# TYPE a_total counter\n')
  })

  it('is absent without samples', () => {
    expect(new Family('a', 'gauge', 'b').render('prometheus')).toBe('')
  })

  it('escapes help and label values', () => {
    const family = new Family('a', 'gauge', 'one \\ two\nthree')
    family.add(renderLabels({ x: 'say "hi"\\\n' }), Number.POSITIVE_INFINITY)
    expect(family.render('prometheus')).toBe(
      '# HELP a one \\\\ two\\nthree\n# TYPE a gauge\na{x="say \\"hi\\"\\\\\\n"} +Inf\n',
    )
  })
})

it('joins labels without empty parts', () => {
  expect(joinLabels('', renderLabels({ a: '1' }), '', 'b="2"')).toBe('a="1",b="2"')
})

it('makes label names of anything', () => {
  expect(labelName('app.kubernetes.io/name-x')).toBe('app_kubernetes_io_name_x')
})

it('writes a histogram with cumulative buckets, the last without a bound', () => {
  const family = new Family('wait_seconds', 'histogram', 'Waiting.')
  family.addHistogram('pod="a"', [0.1, 1], [2, 0, 3], 4.5)

  expect(family.render('prometheus').split('\n').slice(1)).toEqual([
    '# TYPE wait_seconds histogram',
    'wait_seconds_bucket{pod="a",le="0.1"} 2',
    'wait_seconds_bucket{pod="a",le="1"} 2',
    'wait_seconds_bucket{pod="a",le="+Inf"} 5',
    'wait_seconds_sum{pod="a"} 4.5',
    'wait_seconds_count{pod="a"} 5',
    '',
  ])
})
