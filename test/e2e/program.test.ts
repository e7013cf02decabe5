import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Process } from '../../lab/process.ts'
import { SimulatedKubernetes } from '../../lab/kubernetes/simulated-kubernetes.ts'
import { entry, Program } from '../../lab/program.ts'
import { waitFor } from '../../lab/wait.ts'

/** Runs the program to its end. */
async function outcome(args: readonly string[], settings: Record<string, string> = {}) {
  const { PATH, HOME } = process.env
  const started = await Process.start('podsonar', entry, args, { env: { PATH, HOME, ...settings } })
  return { ...(await started.exited), stdout: started.stdout, stderr: started.stderr }
}

describe('podsonar', () => {
  it('prints its help with every setting and exits 0', async () => {
    const { code, stdout } = await outcome(['--help'])
    expect(code).toBe(0)
    for (const name of ['MODE', 'SYNC_PERIOD', 'OPS_PORT', 'PROC_PATH']) expect(stdout).toContain(name)
  })

  it('prints its version', async () => {
    expect((await outcome(['--version'])).stdout).toMatch(/^podsonar \d+\.\d+\.\d+\n$/)
  })

  it('prints the effective settings as JSON, secrets masked', async () => {
    const { code, stdout } = await outcome(['config'], {
      CLUSTER_NAME: 'lab',
      CONSUL_HTTP_TOKEN: 'hush',
      SYNC_PERIOD: '60',
    })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      MODE: 'registrar',
      CLUSTER_NAME: 'lab',
      SYNC_PERIOD: 60,
      CONSUL_HTTP_TOKEN: '[hidden]',
    })
    expect(stdout).not.toContain('hush')
  })

  it('reports all bad settings at once and exits 2', async () => {
    const { code, stderr } = await outcome(['exporter'], { PORT: 'abc', PROC_PATH: '/nowhere' })
    expect(code).toBe(2)
    expect(stderr).toContain('PORT: expected a port')
    expect(stderr).toContain('PROC_PATH: expected the path')
  })

  it('never shows a secret in an error', async () => {
    const { code, stderr } = await outcome(['registrar', '--consul-http-token', 'hush'], {
      CLUSTER_NAME: 'lab',
    })
    expect(code).toBe(2)
    expect(stderr).toContain('CONSUL_HTTP_TOKEN')
    expect(stderr).not.toContain('hush')
  })

  it.each(['exporter', 'proxy', 'registrar'])(
    'the %s answers its ops endpoints and stops cleanly on SIGTERM',
    async (mode) => {
      await using kubernetes = await SimulatedKubernetes.start()
      await using program = await Program.start([mode], {
        CLUSTER_NAME: 'lab',
        CONSUL_ADDRESS: '127.0.0.1:1',
        KUBECONFIG: await kubernetes.kubeconfig(),
        KUBELET_INSECURE_TLS: 'true',
      })
      const url = await program.url(mode === 'proxy' ? 'OPS_PORT' : 'PORT')
      expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok\n')
      expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^podsonar_build_info\{version="\d/m)
      const ready = await fetch(`${url}/readyz`)
      expect(await ready.json()).toMatchObject({ ready: ready.ok, reasons: expect.any(Object) as unknown })
      const page = await fetch(url)
      expect(page.headers.get('content-type')).toContain('text/html')
      expect(await page.text()).toContain(`podsonar <span class="muted">${mode}</span>`)
      expect((await fetch(`${url}/nothing`)).status).toBe(404)
      expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405)
      program.process.kill('SIGTERM')
      expect(await program.process.exited).toEqual({ code: 0, signal: null })
    },
  )

  it('ends at once on a second signal', async () => {
    await using program = await Program.start(['exporter'], {})
    const url = await program.url()
    // A request that never ends keeps the first stop waiting.
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n')
    await waitFor('the connection', () => !socket.connecting)
    program.process.kill('SIGINT')
    await program.logged('stopping')
    program.process.kill('SIGINT')
    expect((await program.process.exited).code).toBe(130)
    socket.destroy()
  })

  it('says which setting to change when its port is taken, and exits 1', async () => {
    await using first = await Program.start(['exporter'], {})
    const { code, stderr } = await outcome(['exporter'], {
      PORT: new URL(await first.url()).port,
      LOG_FORMAT: 'json',
    })
    expect(code).toBe(1)
    expect(stderr).toMatch(/Cannot listen on port \d+ \(PORT\): EADDRINUSE/)
  })
})
