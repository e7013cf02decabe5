/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a hash table of sockets is walked. Nothing is locked: sockets come and go meanwhile. A chain that changed is noticed
 * as the kernel's own readers notice it (it ends in the mark of another bucket) and walked again.
 */
#pragma once
#include "socket-row.h"

/* Buckets are read this many bytes at a time: one probe read for hundreds of empty buckets. */
#define CHUNK_BYTES 8192
/* A slice ends once it read as many rows or chunks, about 3 ms. */
#define SLICE_ROWS 16384
#define SLICE_CHUNKS 128
/* No real chain is as long; one that is has been torn into a circle. */
#define LONGEST_CHAIN (1 << 20)
#define RETRIES 3
#define MOST_NAMESPACES (1 << 17)

struct chunk {
	__u64 words[CHUNK_BYTES / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct chunk);
} chunks SEC(".maps");

/* A hash table of sockets, and how far its walk is. */
struct walk {
	__u64 base;
	__u64 buckets;
	__u64 stride; /* bytes of a bucket */
	__u64 head; /* offset of the chain's head in a bucket */
	__u64 end; /* the mark of bucket 0; NO_MARK where chains end in NULL */
	__u64 bucket; /* next to visit */
	__u64 row_limit; /* stop before a chunk once so many rows were read */
	__u32 protocol;
	__u32 slice; /* chunks to visit at most */
	struct chunk *chunk;
};
#define NO_MARK (~0ULL)

struct chain {
	__u64 node;
	__u64 head; /* address of its head */
	__u64 end; /* the mark that it must end in */
	__u64 first_row;
	__u32 protocol;
	__u32 attempts;
	__u32 over;
};

/* Walks a chain that changed from its head again; 1 when it was tried often enough. */
static __always_inline int walk_again(struct chain *chain)
{
	if (chain->attempts++ >= RETRIES || bpf_probe_read_kernel(&chain->node, 8, (void *)chain->head)) {
		pass.torn++;
		chain->over = true;
		return 1;
	}
	pass.retried++;
	pass.rows = chain->first_row;
	return 0;
}

static int visit_socket(__u32 index, struct chain *chain)
{
	__u64 node = chain->node;

	if (!node || (node & 1)) {
		if (chain->end != NO_MARK && node >> 1 != chain->end)
			return walk_again(chain);
		chain->over = true;
		return 1;
	}
	/* skc_node and skc_nulls_node share their place. */
	if (!append(node - bpf_core_field_offset(struct sock_common, skc_nulls_node), chain->protocol))
		return walk_again(chain);
#ifdef PROBE_READS
	if (bpf_probe_read_kernel(&chain->node, 8, (void *)node))
		return walk_again(chain);
#else
	/* Not as a node: its first field is a pointer, which the verifier lets nobody test for the mark. As a number. */
	chain->node = KERNEL(timespec64, node)->tv_sec;
#endif
	return 0;
}

static int visit_bucket(__u32 index, struct walk *walk)
{
	struct chunk *chunk = walk->chunk;
	__u64 word = (index * walk->stride + walk->head) / 8;

	if (!chunk)
		return 1;
	/* For the verifier: clang would drop a mask that it can prove. */
	asm volatile("%0 &= %1" : "+r"(word) : "i"(CHUNK_BYTES / 8 - 1));
	__u64 first = chunk->words[word];

	if (!first || (first & 1))
		return 0;
	struct chain chain = {
		.node = first,
		.head = walk->base + (walk->bucket + index) * walk->stride + walk->head,
		.end = walk->end == NO_MARK ? NO_MARK : walk->end + walk->bucket + index,
		.first_row = pass.rows,
		.protocol = walk->protocol,
	};
	bpf_loop(LONGEST_CHAIN, visit_socket, &chain, 0);
	if (!chain.over)
		pass.torn++;
	return 0;
}

static int visit_chunk(__u32 index, struct walk *walk)
{
	struct chunk *chunk = walk->chunk;
	__u64 count = walk->buckets - walk->bucket;
	__u64 most = CHUNK_BYTES / walk->stride;

	if (!chunk || walk->bucket >= walk->buckets || pass.rows >= walk->row_limit)
		return 1;
	if (count > most)
		count = most;
	__u64 bytes = count * walk->stride;
	if (bytes > CHUNK_BYTES)
		return 1;
	if (bpf_probe_read_kernel(chunk, bytes, (void *)(walk->base + walk->bucket * walk->stride)))
		pass.torn += count;
	else
		bpf_loop(count, visit_bucket, walk, 0);
	walk->bucket += count;
	return 0;
}

/* Goes on with a table; true when it is through. */
static __always_inline bool go_on(struct walk *walk, bool sliced)
{
	__u32 zero = 0;

	walk->chunk = bpf_map_lookup_elem(&chunks, &zero);
	walk->row_limit = sliced ? pass.rows + SLICE_ROWS : NO_MARK;
	if (!walk->base || !walk->stride)
		return true;
	bpf_loop(sliced ? SLICE_CHUNKS : LONGEST_CHAIN, visit_chunk, walk, 0);
	return walk->bucket >= walk->buckets;
}
