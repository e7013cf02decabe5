/* SPDX-License-Identifier: GPL-2.0-only */
/* From a socket in the kernel's memory to a row of the table. */
#pragma once
#include "socket-table.h"
#include "read.h"
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct socket_row);
} rows SEC(".maps");

struct socket_pass pass;

static __always_inline void read_owner(struct socket_row *row, struct sock *owner)
{
	if (pass.asked & READ_DETAILS)
		row->uid = READ(owner, sk_uid.val);
	struct cgroup *cgroup = READ(owner, sk_cgrp_data.cgroup);
	struct kernfs_node *node = READ(KERNEL(cgroup, cgroup), kn);
	row->cgroup_id = READ(KERNEL(kernfs_node, node), id);
}

static __always_inline void read_addresses(struct socket_row *row, struct sock *sk)
{
	if (row->family == 4) {
		row->local[0] = bpf_ntohl(READ(sk, __sk_common.skc_rcv_saddr));
		row->remote[0] = bpf_ntohl(READ(sk, __sk_common.skc_daddr));
		row->local[1] = row->local[2] = row->local[3] = 0;
		row->remote[1] = row->remote[2] = row->remote[3] = 0;
		return;
	}
#pragma unroll
	for (int word = 0; word < 4; word++) {
		row->local[word] = bpf_ntohl(READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[word]));
		row->remote[word] = bpf_ntohl(READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[word]));
	}
}

static __always_inline void read_live(struct socket_row *row, struct tcp_sock *tcp)
{
	row->srtt_us = READ(tcp, srtt_us) >> 3; /* kept in eighths */
	row->bytes_acked = READ(tcp, bytes_acked);
	row->bytes_received = READ(tcp, bytes_received);
}

static __always_inline void read_queues(struct socket_row *row, struct tcp_sock *tcp)
{
	__s32 unread = READ(tcp, rcv_nxt) - READ(tcp, copied_seq);

	row->rx_queue = unread > 0 ? unread : 0; /* the two are read at different moments */
	row->tx_queue = READ(tcp, write_seq) - READ(tcp, snd_una);
	row->losses = READ(tcp, total_retrans);
}

static __always_inline __u32 udp_drops(struct sock *sk)
{
	if (bpf_core_field_exists(struct sock, sk_drop_counters)) {
		struct numa_drop_counters *split = READ(sk, sk_drop_counters);

		if (split) {
			split = KERNEL(numa_drop_counters, split);
			return READ(split, drops0.counter) + READ(split, drops1.counter);
		}
	}
	return READ(sk, sk_drops.counter);
}

static __always_inline void read_udp(struct socket_row *row, struct sock *sk)
{
	struct udp_sock *udp = KERNEL(udp_sock, sk);

	row->rx_queue = READ(sk, sk_backlog.rmem_alloc.counter) - READ(udp, forward_deficit);
	row->tx_queue = READ(sk, sk_wmem_alloc.refs.counter) - 1; /* the socket itself holds one */
	row->losses = udp_drops(sk);
}

/* Appends a socket; false when what lies there is none. */
static __always_inline bool append(__u64 address, __u32 protocol)
{
	__u32 index = pass.rows;
	struct sock *sk = KERNEL(sock, address);
	__u32 family = READ(sk, __sk_common.skc_family);
	struct socket_row *row;

	if (family != AF_INET && family != AF_INET6)
		return false;
	row = bpf_map_lookup_elem(&rows, &index);
	pass.rows++;
	if (!row)
		return true;
	row->family = family == AF_INET ? 4 : 6;
	row->protocol = protocol;
	row->state = READ(sk, __sk_common.skc_state);
	row->partial = protocol == IPPROTO_TCP &&
		(row->state == TCP_TIME_WAIT || row->state == TCP_NEW_SYN_RECV);
	row->local_port = READ(sk, __sk_common.skc_num);
	row->remote_port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	struct net *net = READ(sk, __sk_common.skc_net.net);
	row->netns = READ(KERNEL(net, net), ns.inum);
	read_addresses(row, sk);
	row->uid = row->rx_queue = row->tx_queue = row->srtt_us = row->losses = 0;
	row->cgroup_id = row->bytes_acked = row->bytes_received = 0;
	if (protocol == IPPROTO_UDP) {
		read_owner(row, sk);
		read_udp(row, sk);
	} else if (row->state == TCP_TIME_WAIT) {
		/* What is left of a closed socket: it may stand for FIN_WAIT2 too. */
		struct inet_timewait_sock *remains = KERNEL(inet_timewait_sock, address);

		row->state = READ(remains, tw_substate);
	} else if (row->state == TCP_NEW_SYN_RECV) {
		/* Owned by nobody yet: it is the listening socket's. */
		struct sock *listener = READ(sk, __sk_common.skc_listener);

		read_owner(row, KERNEL(sock, listener));
	} else {
		read_owner(row, sk);
		if (row->state == TCP_LISTEN) {
			if (pass.asked & READ_DETAILS) {
				row->rx_queue = READ(sk, sk_ack_backlog);
				row->tx_queue = READ(sk, sk_max_ack_backlog);
			}
			return true;
		}
		struct tcp_sock *tcp = KERNEL(tcp_sock, sk);

		if (pass.asked & READ_LIVE)
			read_live(row, tcp);
		if (pass.asked & READ_DETAILS)
			read_queues(row, tcp);
	}
	return true;
}
