/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs that see requests keep: maps, and what is remembered of a connection. */
#pragma once
#include "requests.h"
#include <bpf/bpf_helpers.h>

/* Of include/uapi/linux/bpf.h. */
enum { BPF_MAP_TYPE_SK_STORAGE = 24, BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_SK_STORAGE_GET_F_CREATE = 1, BPF_RB_NO_WAKEUP = 1, BPF_RB_AVAIL_DATA = 0 };

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* It is so already: for verifiers that do not follow a number to the stack and back. */
#define BOUND(number, most) asm volatile("if %0 <= %1 goto +1; %0 = %1" : "+r"(number) : "i"(most))

/* Bytes of an event that are captured at most; a power of two. */
#define CAPTURE 4096

/* Cgroups whose sockets are watched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} chosen SEC(".maps");

/* A map of one value, by the section's name: reached without a look-up. */
struct request_settings settings SEC(".bss.settings");

enum protocol { PROTOCOL_UNKNOWN, PROTOCOL_HTTP1, PROTOCOL_HTTP2, PROTOCOL_TLS };

/* A stream of bytes each way that is watched: of a socket, or what a TLS library reads and writes on one. */
struct watched {
	/* What an exchange that is left out needs comes first: behind the kernel's own word it is one line of the cache. */
	__u64 offsets[2];
	__u32 generation; /* of the settings by which its cgroup was found to be chosen */
	__u32 skipped;
	__u32 events;
	__u8 protocol;
	__u8 from_start;
	__u8 requests; /* the direction in which exchanges begin */
	__u8 last;
	__u8 leaving_out;
	__u8 aligned[2]; /* what was left out since the last event */
	__u8 frames; /* events that began as HTTP/2 frames do */
	__u8 records; /* events that began as TLS records do */
	__u8 claimed; /* a TLS library is known to read and write on it: what the socket itself moves is of no interest */
	__u32 budgets[2];
	__u64 cookie; /* of the socket */
	__u64 cgroup_id; /* of the socket; requests-syscalls.bpf.c: of the process that was first seen to use it */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct request_losses);
} losses SEC(".maps");

/* An event is put together here. Twice the size, for the verifier. */
struct draft {
	struct request_event event;
	__u8 data[2 * CAPTURE];
	__u32 busy; /* of those that TLS programs use, which another task may interrupt */
	__u32 reserved;
};
/* One for each tracepoint, which nothing interrupts; the others are for TLS. */
#define TLS_DRAFTS 4
#define DRAFTS (EVENT_CLOSED + 1 + TLS_DRAFTS)
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DRAFTS);
	__type(key, __u32);
	__type(value, struct draft);
} drafts SEC(".maps");

/* Whether the filter lets the cgroup be a chosen one: far cheaper than the hash map. */
static __always_inline bool may_be_chosen(__u64 cgroup)
{
	return (settings.filter[(cgroup >> 6) & 63] >> (cgroup & 63)) & 1;
}

static __always_inline struct request_losses *losses_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&losses, &zero);
}
