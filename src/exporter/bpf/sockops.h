/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What sockops.bpf.c and its user in TypeScript (core/sockops/layout.ts) share. Sizes and offsets are asserted here and
 * compared there: a change must be made in both.
 */
#pragma once
#include "kernel.h"

/* Calls that the kernel does not do right on a socket that it short-cuts. A container that makes one is excluded. */
enum sockops_call {
	CALL_FIONREAD, /* ioctl FIONREAD, SIOCATMARK, TCP_INQ: bytes that wait are not counted */
	CALL_SPLICE, /* splice and sendfile from a socket, TCP_ZEROCOPY_RECEIVE: bytes that wait are not seen */
	CALL_WAIT_ALL, /* MSG_WAITALL, SO_RCVLOWAT: answered too early */
	CALL_URGENT, /* MSG_OOB, SO_OOBINLINE, F_SETOWN, FIOSETOWN: the mark is lost */
	CALL_TRUNCATE, /* MSG_TRUNC: bytes are copied instead of thrown away */
	CALL_ZERO_COPY, /* SO_ZEROCOPY: its completions never come */
	CALL_TLS, /* TCP_ULP, TCP_REPAIR: another owner of the socket's functions */
	CALL_PEEK_OFFSET, /* SO_PEEK_OFF: ignored */
	CALL_BLOCKING, /* a receive on a blocking socket: it may answer EAGAIN when room to write wakes it */
	CALL_IO_URING, /* its operations on sockets: their flags are not looked at */
	CALL_PEEK, /* MSG_PEEK of several bytes after the first read: those behind the handed-over ones are not shown */
	CALL_TIMESTAMPS, /* SO_TIMESTAMP and its like: handed-over bytes have none */
	CALLS,
};

/* Why a message took the normal way. */
enum sockops_fallback {
	FALLBACK_NO_PEER, /* the other end is not (yet) known, or not of a chosen pod */
	FALLBACK_NOT_READ_YET, /* the reader has not read since it is watched: it may sleep where it would not wake */
	FALLBACK_IN_FLIGHT, /* bytes of the normal way are not read yet: these must come first */
	FALLBACK_FULL, /* the reader's buffer: TCP makes the writer wait */
	FALLBACK_EXCLUDED, /* one of the containers made a call of enum sockops_call */
	FALLBACK_CLOSING, /* the other end is on its way out */
	FALLBACK_STOPPED, /* the exporter has ended, or is about to */
	FALLBACK_OBSERVED, /* a connection of a container that has not been watched for long enough */
	FALLBACK_NO_ROOM, /* a connection that found no room in the maps, or has another owner */
	FALLBACKS,
};

/* A container's cgroup. */
struct sockops_chosen {
	__u32 calls; /* a bit for each of enum sockops_call */
	__u32 reserved;
	__u64 from_ns; /* CLOCK_MONOTONIC; earlier connections are left alone */
};
_Static_assert(sizeof(struct sockops_chosen) == 16, "sockops_chosen: change core/sockops/layout.ts too");

/* A connection as one end sees it. IPv4 addresses are mapped into IPv6 ones, whatever the socket's family is. */
struct sockops_flow {
	__u32 local[4];
	__u32 remote[4];
	__u16 local_port; /* host order */
	__u16 remote_port;
	__u32 netns; /* of loopback addresses, which are everyone's; else 0 */
};
_Static_assert(sizeof(struct sockops_flow) == 40, "sockops_flow");

/* One end of a connection that may be short-cut; by its cookie. */
struct sockops_end {
	__u64 sk; /* address of the socket; what is read there counts only while its cookie is the same */
	__u64 peer; /* cookie; 0: not known */
	__u64 cgroup_id;
	__u32 read_at; /* copied_seq when it was put into the map */
	__u32 tries; /* to find the peer */
	__u32 drained; /* by sweep: nothing waits in its short-cut queue */
	__u32 reserved;
	struct sockops_flow flow;
};
_Static_assert(sizeof(struct sockops_end) == 80, "sockops_end: change core/sockops/layout.ts too");
_Static_assert(__builtin_offsetof(struct sockops_end, cgroup_id) == 16, "sockops_end.cgroup_id");
_Static_assert(__builtin_offsetof(struct sockops_end, drained) == 32, "sockops_end.drained");
_Static_assert(__builtin_offsetof(struct sockops_end, flow) == 40, "sockops_end.flow");

/* On one processor. */
struct sockops_counters {
	__u64 messages;
	__u64 bytes;
	__u64 connections; /* ends that were put into the map */
	__u64 fallbacks[FALLBACKS];
};
_Static_assert(sizeof(struct sockops_counters) == 24 + 9 * 8, "sockops_counters: change core/sockops/layout.ts too");

struct sockops_settings {
	__u64 alive_until_ns; /* CLOCK_MONOTONIC; nothing is short-cut later */
};
