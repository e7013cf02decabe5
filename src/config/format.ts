/**
 * What a setting accepts: how its text is read, and the words in which an error says so. Formats are pure but for
 * {@link readableFile} and {@link readableFiles}.
 */
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter } from 'node:path'
import { parseLabelSelector } from '../common/label-selector.ts'

export interface Format<T> {
  /** Short name for docs: `port`. */
  readonly name: string
  /** Completes "expected …": `a port from 1 to 65535`. */
  readonly accepts: string
  /** The value that `text` (never empty, trimmed) stands for; undefined when it stands for none. */
  readonly parse: (text: string) => T | undefined
}

export const text: Format<string> = { name: 'text', accepts: 'a text', parse: (value) => value }

export const flag: Format<boolean> = {
  name: 'boolean',
  accepts: 'true or false',
  parse: (value) =>
    /^(true|1|yes)$/i.test(value) ? true : /^(false|0|no)$/i.test(value) ? false : undefined,
}

export function integer(min: number, max: number): Format<number> {
  return {
    name: 'integer',
    accepts: `a whole number from ${min} to ${max}`,
    parse: (value) => {
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
      return number >= min && number <= max ? number : undefined
    },
  }
}

export const port: Format<number> = { ...integer(1, 65_535), name: 'port', accepts: 'a port from 1 to 65535' }

/** For listeners: 0 asks the system for a free port. */
export const listenPort: Format<number> = {
  ...integer(0, 65_535),
  name: 'port',
  accepts: 'a port from 0 (any free one) to 65535',
}

export function oneOf<const T extends string>(...values: readonly T[]): Format<T> {
  return {
    name: values.join(' | '),
    accepts: `one of ${values.join(', ')}`,
    parse: (value) => values.find((known) => known === value),
  }
}

/** A comma-separated list; spaces around entries do not count, an empty entry is an error. */
export function list<T>(entry: Format<T>): Format<readonly T[]> {
  return {
    name: `list of ${entry.name}`,
    accepts: `a comma-separated list, each ${entry.accepts}`,
    parse: (value) => {
      const entries = value
        .split(',')
        .map((part) => (part.trim() === '' ? undefined : entry.parse(part.trim())))
      return entries.some((parsed) => parsed === undefined) ? undefined : (entries as T[])
    },
  }
}

export function powerOfTwo(min: number, max: number): Format<number> {
  return {
    name: 'power of two',
    accepts: `a power of two from ${min} to ${max}`,
    parse: (value) => {
      const number = integer(min, max).parse(value)
      return number !== undefined && Number.isInteger(Math.log2(number)) ? number : undefined
    },
  }
}

/** A label selector of Kubernetes; the value is the text. */
export const labelSelector: Format<string> = {
  name: 'label selector',
  accepts: 'a label selector such as app=shop,tier in (web, api),!batch',
  parse: (value) => (parseLabelSelector(value) === undefined ? undefined : value),
}

/** Text that matches a pattern as a whole. */
export function matching(name: string, pattern: RegExp, accepts: string): Format<string> {
  return { name, accepts, parse: (value) => (pattern.test(value) ? value : undefined) }
}

/** A path to a file that this process can read now. */
export const readableFile: Format<string> = {
  name: 'file',
  accepts: 'the path of a readable file',
  parse: (value) => {
    try {
      accessSync(value, constants.R_OK)
      return statSync(value).isFile() ? value : undefined
    } catch {
      return undefined
    }
  },
}

/** One readable file or several, separated as in PATH; of several, some may not exist. */
export const readableFiles: Format<string> = {
  name: 'files',
  accepts: `the path of a readable file, or several with ${JSON.stringify(delimiter)} between them`,
  parse: (value) => {
    const paths = value.split(delimiter).filter((path) => path !== '')
    const there = paths.filter((path) => statSync(path, { throwIfNoEntry: false }) !== undefined)
    const usable = there.length > 0 && there.every((path) => readableFile.parse(path) !== undefined)
    return usable ? value : undefined
  },
}

/** A path to a folder that exists. */
export const folder: Format<string> = {
  name: 'folder',
  accepts: 'the path of an existing folder',
  parse: (value) => (statSync(value, { throwIfNoEntry: false })?.isDirectory() === true ? value : undefined),
}

/** A Unix socket: a path, or a URL of scheme unix. The value is the URL. */
export const unixEndpoint: Format<string> = {
  name: 'socket',
  accepts: 'a Unix socket such as unix:///run/containerd/containerd.sock',
  parse: (value) => {
    const path = value.replace(/^unix:\/\//, '')
    return path.startsWith('/') && !path.includes(',') ? `unix://${path}` : undefined
  },
}

/** The name of a Kubernetes label. */
export const labelName: Format<string> = matching(
  'label',
  /^(\*|([A-Za-z0-9.-]{1,253}\/)?[A-Za-z0-9][\w.-]{0,62})$/,
  'a label name, or * for all',
)
