/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tcp-health.bpf.c and its reader in TypeScript (core/decode-tcp-health.ts) share. Sizes and offsets are asserted
 * here and there: a change must be made in both.
 */
#pragma once
#include "kernel.h"

/* Whose connections: the cgroup tells the container, the namespace the pod where cgroups do not. */
struct tcp_health_key {
	__u64 cgroup_id;
	__u32 netns;
	__u32 reserved;
};
_Static_assert(sizeof(struct tcp_health_key) == 16, "tcp_health_key: change core/decode-tcp-health.ts too");

/* Why a connect failed. */
enum tcp_failure {
	FAILURE_REFUSED,
	FAILURE_TIMED_OUT,
	FAILURE_UNREACHABLE,
	FAILURE_RESET,
	FAILURE_LOCAL, /* given up by the application, or no port was left */
	FAILURE_OTHER,
	FAILURES,
};

/* Upper bounds in nanoseconds; one more bucket takes the rest. */
#define CONNECT_BOUNDS { 1000000, 5000000, 25000000, 100000000, 500000000, 1500000000, 5000000000, 15000000000 }
#define LIFETIME_BOUNDS { 100000000, 1000000000, 10000000000, 60000000000, 600000000000, 3600000000000 }
enum { CONNECT_BUCKETS = 9, LIFETIME_BUCKETS = 7 };

/* Counters of one key on one processor. */
struct tcp_health {
	__u64 connects;
	__u64 accepts;
	__u64 retransmits; /* segments: a packet may carry several */
	__u64 resets_received;
	__u64 resets_sent;
	__u64 bytes_received; /* of connections that have ended */
	__u64 bytes_acked;
	__u64 connect_ns; /* sums of what the buckets count */
	__u64 lifetime_ns;
	__u64 failures[FAILURES];
	__u64 connect_buckets[CONNECT_BUCKETS];
	__u64 lifetime_buckets[LIFETIME_BUCKETS];
};
_Static_assert(sizeof(struct tcp_health) == 248, "tcp_health: change core/decode-tcp-health.ts too");
_Static_assert(__builtin_offsetof(struct tcp_health, failures) == 72, "tcp_health.failures");
_Static_assert(__builtin_offsetof(struct tcp_health, connect_buckets) == 120, "tcp_health.connect_buckets");
_Static_assert(__builtin_offsetof(struct tcp_health, lifetime_buckets) == 192, "tcp_health.lifetime_buckets");

/* A connection that is being opened, or is open. */
struct tcp_connection {
	struct tcp_health_key owner;
	__u64 since_ns; /* CLOCK_MONOTONIC; of the connect until it stands, then of the moment when it stood */
	__u32 established;
	__u32 reserved;
};
_Static_assert(sizeof(struct tcp_connection) == 32, "tcp_connection: change core/decode-tcp-health.ts too");
_Static_assert(__builtin_offsetof(struct tcp_connection, since_ns) == 16, "tcp_connection.since_ns");

/* What could not be counted, on one processor. */
struct tcp_health_loss {
	__u64 owners; /* events of an owner for which the map had no room */
};
_Static_assert(sizeof(struct tcp_health_loss) == 8, "tcp_health_loss: change core/decode-tcp-health.ts too");
