/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What requests.bpf.c and its reader in TypeScript (core/requests/decode-event.ts) share. Sizes and offsets are asserted here
 * and there: a change must be made in both.
 */
#pragma once
#include "kernel.h"

enum event_kind { EVENT_RECEIVED, EVENT_SENT, EVENT_CLOSED };

enum event_flag {
	EVENT_FROM_START = 1, /* the socket is watched since its connection was established */
	EVENT_ALIGNED = 2, /* what is missing before it are whole exchanges, left out on purpose */
	EVENT_TLS = 4, /* what a TLS library read or wrote */
	EVENT_CONTINUED = 16, /* bytes of the same system call as the event before */
	EVENT_UNREADABLE = 8, /* moved by a system call that does not tell where its bytes are */
};

/* The first bytes that one system call moved follow it. */
struct request_event {
	__u64 socket; /* its cookie, which no other socket ever has */
	__u64 at_ns; /* CLOCK_MONOTONIC */
	__u64 offset; /* bytes that moved this way before */
	__u64 cgroup_id;
	__u32 length; /* bytes that moved */
	__u32 captured; /* how many of them follow */
	__u32 skipped; /* exchanges of this socket that were left out right before */
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u8 kind;
	__u8 flags;
	__u32 reserved;
	__u8 remote_address[16]; /* the first four bytes, of AF_INET */
};
_Static_assert(sizeof(struct request_event) == 72, "request_event: change core/requests/decode-event.ts too");
_Static_assert(__builtin_offsetof(struct request_event, length) == 32, "request_event.length");
_Static_assert(__builtin_offsetof(struct request_event, kind) == 50, "request_event.kind");
_Static_assert(__builtin_offsetof(struct request_event, remote_address) == 56, "request_event.remote_address");

/* What user space tells the programs. */
struct request_settings {
	__u32 sample_mask; /* of exchanges, one in this plus one is recorded: 0, 1, 3, 7 … */
	__u32 generation; /* another one whenever the chosen cgroups are others */
	__u32 ring_bytes; /* of the ring of events */
	__u32 follow_tls; /* whether the programs on TLS libraries are attached */
	__u64 filter[64]; /* a bit for each chosen cgroup, by its id modulo their number: no bit, not chosen */
};
_Static_assert(sizeof(struct request_settings) == 528, "request_settings: change core/requests/settings.ts too");
_Static_assert(__builtin_offsetof(struct request_settings, filter) == 16, "request_settings.filter");

/* What was not recorded, on one processor. */
struct request_losses {
	__u64 events; /* for want of room in the ring, or of a draft */
	__u64 sockets; /* for want of memory */
	__u64 exchanges; /* left out on purpose, because the ring filled up */
	__u64 tls; /* what a TLS library moved on a connection whose socket is not known */
	__u32 begun; /* exchanges */
	__u32 brake; /* which exchanges were left out, like sample_mask, when the ring was last looked at */
	__u32 random; /* the last number that chance gave; 0: none yet */
	__u32 reserved;
};
_Static_assert(sizeof(struct request_losses) == 48, "request_losses: change core/requests/decode-event.ts too");
