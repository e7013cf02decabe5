/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a socket is reached. From Linux 6.3 on tracepoints give it, as one that may carry memory of its own. Before, it is found
 * by the number of a file, and then only an address, whose memory is in a hash map: compiled with -DSYSCALL_HOOKS.
 */
#pragma once
#include "requests-maps.h"
#include <bpf/bpf_core_read.h>

#ifdef SYSCALL_HOOKS
#define SOCK(sk, field) BPF_CORE_READ(sk, __sk_common.field)
#define COPY_SOCK(to, bytes, sk, field) bpf_core_read(to, bytes, &(sk)->__sk_common.field)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct watched);
} sockets SEC(".maps");

static __always_inline struct watched *memory_of(struct sock *sk)
{
	__u64 address = (__u64)sk;

	return bpf_map_lookup_elem(&sockets, &address);
}

static __always_inline struct watched *make_memory(struct sock *sk)
{
	__u64 address = (__u64)sk;
	struct watched made = {};

	if (bpf_map_update_elem(&sockets, &address, &made, BPF_ANY))
		return 0;
	return bpf_map_lookup_elem(&sockets, &address);
}
#else
#define SOCK(sk, field) ((sk)->__sk_common.field)
#define COPY_SOCK(to, bytes, sk, field) __builtin_memcpy(to, &(sk)->__sk_common.field, bytes)

/* Ends with its socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct watched);
} sockets SEC(".maps");

static __always_inline struct watched *memory_of(struct sock *sk)
{
	return bpf_sk_storage_get(&sockets, sk, 0, 0);
}

static __always_inline struct watched *make_memory(struct sock *sk)
{
	return bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}
#endif
