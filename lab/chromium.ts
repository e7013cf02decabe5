/** A real browser without a screen, for the pages: Debian's Chromium, driven by playwright-core. */
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { multiarch } from './clang.ts'
import { unpacked } from './needs.ts'

/** A page, and every request that the browser made for it. */
export interface Visit {
  readonly page: Page
  readonly requests: readonly string[]
}

export class Chromium implements AsyncDisposable {
  readonly #browser: Browser

  private constructor(browser: Browser) {
    this.#browser = browser
  }

  static async start(): Promise<Chromium> {
    const root = await unpacked('chromium')
    const libraries = ['usr/lib', 'lib'].map((folder) => join(root, folder, multiarch()))
    const browser = await chromium.launch({
      executablePath: join(root, 'usr/lib/chromium/chromium-headless-shell'),
      // Nothing of Chromium's own is to leave the machine.
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
      env: {
        LD_LIBRARY_PATH: [...libraries, join(libraries[0] ?? '', 'pulseaudio')].join(':'),
        FONTCONFIG_SYSROOT: root,
        FONTCONFIG_PATH: '/etc/fonts',
        HOME: '/nonexistent',
      },
    })
    return new Chromium(browser)
  }

  /** Opens a page. Scripts are off unless `options` says otherwise. */
  async visit(url: string, options: BrowserContextOptions = {}): Promise<Visit> {
    const context = await this.#browser.newContext({
      ...{ javaScriptEnabled: false, viewport: { width: 1280, height: 900 } },
      ...options,
    })
    const page = await context.newPage()
    const requests: string[] = []
    page.on('request', (request) => requests.push(request.url()))
    await page.goto(url)
    return { page, requests }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close()
  }
}
