/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What connection-events.bpf.c and its reader in TypeScript (core/decode-connection-event.ts) share. Sizes and offsets
 * are asserted here and there: a change must be made in both.
 */
#pragma once
#include "kernel.h"

/* A TCP connection of a chosen network namespace went from one state to another. */
struct connection_event {
	__u64 socket; /* its address: no other connection has it at the same time */
	__u64 at_ns; /* CLOCK_MONOTONIC */
	__u64 cgroup_id;
	__u64 bytes_received;
	__u64 bytes_acked; /* of what was sent */
	__u32 netns;
	__u32 pid; /* of the process that connects, when it does; else 0 */
	__u32 rtt_us; /* smoothed; 0: not known yet */
	__u32 retransmits;
	__u32 error; /* why it is not to be, an errno */
	__u16 local_port; /* 0 while a connect looks for one */
	__u16 remote_port;
	__u16 family;
	__u8 before; /* include/net/tcp_states.h */
	__u8 after;
	__u32 reserved;
	__u8 local[16]; /* of IPv4 the first four octets */
	__u8 remote[16];
};
_Static_assert(sizeof(struct connection_event) == 104, "connection_event: change core/decode-connection-event.ts too");
_Static_assert(__builtin_offsetof(struct connection_event, netns) == 40, "connection_event.netns");
_Static_assert(__builtin_offsetof(struct connection_event, local_port) == 60, "connection_event.local_port");
_Static_assert(__builtin_offsetof(struct connection_event, local) == 72, "connection_event.local");

/* What had no room in the ring, on one processor. */
struct connection_losses {
	__u64 events;
};
_Static_assert(sizeof(struct connection_losses) == 8, "connection_losses: change core/decode-connection-event.ts too");
