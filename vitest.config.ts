import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup/global.ts'],
    // Real servers start in these tests, on machines with few cores.
    maxWorkers: 2,
    // What a test waits for has a limit of its own, which names it.
    testTimeout: 240_000,
    hookTimeout: 300_000,
    reporters: ['default'],
  },
})
