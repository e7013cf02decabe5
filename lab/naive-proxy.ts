/**
 * http-proxy as a quick hand would use it, as a program: what podsonar's proxy is compared with, in tests that show
 * its faults and in the benchmark. `node lab/naive-proxy.ts PORT CA-FILE TOKEN`; listens on 127.0.0.1, says `ready` and its port.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import httpProxy from 'http-proxy'

const [port = '', caFile = '', token = ''] = process.argv.slice(2)
// The types leave `ca` out.
const trust = { ca: readFileSync(caFile, 'utf8') }
const proxy = httpProxy.createProxyServer({ changeOrigin: true, ...trust })

proxy.on('proxyReq', (proxyRequest) => {
  proxyRequest.setHeader('authorization', `Bearer ${token}`)
})
const server = createServer((request, response) => {
  const [, authority = '', path = ''] = /^\/api\/v1\/nodes\/([^/]+)(.*)$/.exec(request.url ?? '') ?? []
  request.url = path
  proxy.web(request, response, { target: `https://${authority}` }, () => {
    response.writeHead(502).end()
  })
})
server.listen(Number(port), '127.0.0.1', () => {
  console.log('ready', (server.address() as AddressInfo).port)
})
