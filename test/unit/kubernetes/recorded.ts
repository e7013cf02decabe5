import { readFile } from 'node:fs/promises'

/** The text of a fixture that was recorded from an API server. */
export function recorded(file: string): Promise<string> {
  return readFile(new URL(`../../fixtures/kubernetes/${file}`, import.meta.url), 'utf8')
}

/** The items of a recorded list. */
export async function recordedList(file: string): Promise<unknown[]> {
  return (JSON.parse(await recorded(file)) as { items: unknown[] }).items
}
