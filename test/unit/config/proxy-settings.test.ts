import { describe, expect, it } from 'vitest'
import { SettingsError } from '../../../src/common/errors.ts'
import { loadInvocation } from '../../../src/config/load.ts'

const file = import.meta.filename

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    loadInvocation(['proxy'], environment)
    return []
  } catch (error) {
    return error instanceof SettingsError ? error.problems : [String(error)]
  }
}

describe('settings of the proxy', () => {
  it('has usable defaults', () => {
    expect(problemsOf({})).toEqual([])
  })

  it('does not take an authority together with no verification', () => {
    const [problem = ''] = problemsOf({ KUBELET_INSECURE_TLS: 'true', KUBELET_CERTIFICATE_AUTHORITY: file })
    expect(problem).toContain(
      'KUBELET_INSECURE_TLS: expected false or unset with KUBELET_CERTIFICATE_AUTHORITY',
    )
  })

  it('wants a client certificate and its key together, and no token beside them', () => {
    expect(problemsOf({ KUBELET_CLIENT_CERTIFICATE: file })).toEqual([
      expect.stringContaining('KUBELET_CLIENT_KEY:'),
    ])
    expect(problemsOf({ KUBELET_CLIENT_KEY: file })).toEqual([
      expect.stringContaining('KUBELET_CLIENT_CERTIFICATE:'),
    ])
    const both = { KUBELET_CLIENT_CERTIFICATE: file, KUBELET_CLIENT_KEY: file }
    expect(problemsOf(both)).toEqual([])
    expect(problemsOf({ ...both, KUBELET_TOKEN_FILE: file })).toEqual([
      expect.stringContaining('KUBELET_TOKEN_FILE:'),
    ])
  })

  it('refuses files that cannot be read and paths that kubelets do not have', () => {
    const problems = problemsOf({
      KUBELET_TOKEN_FILE: '/nowhere',
      PROXY_PATHS: '/metrics,/pods',
      MAX_IN_FLIGHT: '0',
    })
    expect(problems).toHaveLength(3)
    expect(problems.join('\n')).toContain('"/metrics,/pods"')
  })
})
