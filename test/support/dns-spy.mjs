/** Preloaded into a program (`node --import`): says on stderr that it watches, and which names are resolved: `resolved NAME`. */
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'

for (const resolver of [dns, dns.promises, dns.Resolver.prototype, dns.promises.Resolver.prototype]) {
  for (const name of Object.getOwnPropertyNames(resolver)) {
    const original = resolver[name]
    if (!/^(lookup|lookupService|resolve\w*|reverse)$/.test(name) || typeof original !== 'function') continue
    resolver[name] = function (subject, ...rest) {
      process.stderr.write(`resolved ${subject}\n`)
      return original.call(this, subject, ...rest)
    }
  }
}
syncBuiltinESMExports()
process.stderr.write('watching names\n')
