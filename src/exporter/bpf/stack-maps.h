/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs that time packets count, and whose packets they count. */
#pragma once
#include "stack.h"
#include <bpf/bpf_helpers.h>

/* Written by the reader; a program reads it where it lies, without a call. */
volatile struct stack_filter filter SEC(".bss.filter");

/* A namespace is chosen when it is in here. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct stack_times);
} times SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct stack_interface_key);
	__type(value, struct stack_interface);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct stack_drop_key);
	__type(value, __u64);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack_losses);
} losses SEC(".maps");

static __always_inline bool is_maybe_chosen(__u32 netns)
{
	return filter.bits[(netns >> 6) & 63] >> (netns & 63) & 1;
}

static __always_inline struct stack_times *times_of(__u32 netns)
{
	return is_maybe_chosen(netns) ? bpf_map_lookup_elem(&times, &netns) : 0;
}

static __always_inline void count(struct stack_times *of, enum stack_stage stage, __u64 ns)
{
	__u64 rest = ns >> STACK_FIRST_BOUND, bucket = 0;

	if (rest >> 16) {
		bucket += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		bucket += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		bucket += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		bucket += 2;
		rest >>= 2;
	}
	bucket += (rest >> 1) + (rest > 0);
	if (bucket >= STACK_BUCKETS)
		bucket = STACK_BUCKETS - 1;
	of->sum_ns[stage] += ns;
	of->buckets[stage][bucket]++;
}

static __always_inline struct stack_interface *interface_of(struct net_device *dev, __u32 netns)
{
	struct stack_interface_key key = { .netns = netns, .ifindex = dev->ifindex };
	struct stack_interface *of = bpf_map_lookup_elem(&interfaces, &key);
	__u32 zero = 0;

	if (of)
		return of;
	struct stack_interface fresh = {};

	bpf_probe_read_kernel_str(fresh.name, sizeof(fresh.name), dev->name);
	bpf_map_update_elem(&interfaces, &key, &fresh, BPF_NOEXIST);
	of = bpf_map_lookup_elem(&interfaces, &key);
	if (!of) {
		struct stack_losses *lost = bpf_map_lookup_elem(&losses, &zero);

		if (lost)
			lost->interfaces++;
	}
	return of;
}
