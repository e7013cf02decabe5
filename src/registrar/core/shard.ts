/**
 * Which shard a service belongs to. Rendezvous hashing: each shard gets a weight from the hash of the ID and of the shard,
 * and the heaviest wins. So restarts move nothing, the order of the list does not matter, and one more shard takes 1/n of each.
 */

export type ShardStrategy = 'hash' | 'random'

export interface ShardOptions {
  /** Without duplicates; empty: no shards. */
  readonly shards: readonly string[]
  readonly strategy: ShardStrategy
  /** A service leaves the shard that it has for the one that the hash says. */
  readonly rebalance: boolean
  /** Uniform random numbers in [0, 1), for `random`. @default Math.random */
  readonly random?: () => number
}

/** Gives the shard of a service ID, knowing the one that it has (undefined: none); undefined where there are no shards. */
export type ShardChooser = (id: string, current: string | undefined) => string | undefined

export function shardChooser({
  shards,
  strategy,
  rebalance,
  random = Math.random,
}: ShardOptions): ShardChooser {
  const known = new Set(shards)
  const seeds = shards.map((shard) => ({ shard, seed: mix(fnv1a(shard)) }))
  return (id, current) => {
    if (current !== undefined && known.has(current) && !(rebalance && strategy === 'hash')) return current
    if (strategy === 'random') return shards[Math.floor(random() * shards.length)]
    return heaviest(fnv1a(id), seeds)
  }
}

function heaviest(hash: number, seeds: readonly { shard: string; seed: number }[]): string | undefined {
  let best: string | undefined
  let bestWeight = -1
  for (const { shard, seed } of seeds) {
    const weight = mix(hash ^ seed)
    if (weight > bestWeight || (weight === bestWeight && best !== undefined && shard < best)) {
      best = shard
      bestWeight = weight
    }
  }
  return best
}

/** 32-bit FNV-1a over UTF-16 code units. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}

/** Spreads every input bit over all 32 (the finaliser of MurmurHash3). */
function mix(value: number): number {
  let hash = value >>> 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
