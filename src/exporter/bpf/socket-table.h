/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What socket-table.bpf.c and its reader in TypeScript (core/decode-socket-rows.ts) share. Sizes and offsets are
 * asserted here and there: a change must be made in both.
 */
#pragma once
#include "kernel.h"

/* One socket. Numbers are in the machine's byte order, addresses as the number that their network order spells. */
struct socket_row {
	__u32 local[4]; /* IPv4: in the first word */
	__u32 remote[4];
	__u32 netns; /* inode of its network namespace */
	__u32 uid;
	__u64 cgroup_id; /* of the v2 hierarchy; 0: a TIME_WAIT socket, which has no owner */
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 rx_queue; /* bytes; LISTEN: connections that wait to be accepted */
	__u32 tx_queue; /* bytes; LISTEN: the most that may wait */
	__u32 srtt_us;
	__u32 losses; /* TCP: segments sent again; UDP: packets dropped for want of room */
	__u16 local_port;
	__u16 remote_port;
	__u8 state; /* include/net/tcp_states.h; TCP_NEW_SYN_RECV as such */
	__u8 family; /* 4 or 6 */
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 partial; /* TCP: 1 for a request or TIME_WAIT socket, of which the kernel keeps only a part */
};
_Static_assert(sizeof(struct socket_row) == 88, "socket_row: change core/decode-socket-rows.ts too");
_Static_assert(__builtin_offsetof(struct socket_row, netns) == 32, "socket_row.netns");
_Static_assert(__builtin_offsetof(struct socket_row, cgroup_id) == 40, "socket_row.cgroup_id");
_Static_assert(__builtin_offsetof(struct socket_row, rx_queue) == 64, "socket_row.rx_queue");
_Static_assert(__builtin_offsetof(struct socket_row, local_port) == 80, "socket_row.local_port");
_Static_assert(__builtin_offsetof(struct socket_row, protocol) == 86, "socket_row.protocol");

/* Where a pass stands. A pass is cut into slices, so that a big table never keeps a processor for long. */
struct socket_pass {
	__u64 rows; /* found so far; those beyond the capacity of the map are counted, not stored */
	__u64 torn; /* chains that kept changing under the walk: sockets may be missing or double */
	__u64 retried; /* chains that were walked again because they changed */
	__u64 bucket; /* of the current table, where the next slice begins */
	__u32 phase;
	__u32 namespaces; /* seen */
	__u32 private_tables; /* of namespaces that have a table of their own */
	__u16 status;
	__u16 asked; /* READ_LIVE, READ_DETAILS */
	__u64 init_namespace; /* address, for the program itself */
};
_Static_assert(sizeof(struct socket_pass) == 56, "socket_pass: change core/decode-socket-rows.ts too");
_Static_assert(__builtin_offsetof(struct socket_pass, phase) == 32, "socket_pass.phase");

/*
 * What a run is asked for. Each part lies on other cache lines of a socket, and it is these that a pass waits for. Without
 * READ_DETAILS rows have no uid, and those of TCP neither queues nor losses; without READ_LIVE no srtt and no bytes.
 */
enum socket_read { READ_START = 1, READ_DETAILS = 2, READ_LIVE = 4 };
enum socket_pass_phase { PHASE_CONNECTIONS, PHASE_LISTENERS, PHASE_UDP, PHASE_PRIVATE, PHASE_DONE };
enum socket_pass_status { PASS_OK, PASS_NO_NAMESPACES };
