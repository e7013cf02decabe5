// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of each TCP connection of chosen network namespaces, state by state, in a ring that user space reads: who
 * connects to whom, when it stands, when it begins to end, and what it came to.
 */
#include "connection-events.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* Of include/uapi/linux/bpf.h. */
enum { BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_RB_NO_WAKEUP = 1 };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} chosen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct connection_losses);
} losses SEC(".maps");

/* Beginnings and ends; what is between two states of an end tells nothing new. */
static __always_inline bool is_told(int before, int after)
{
	switch (after) {
	case TCP_SYN_SENT:
	case TCP_ESTABLISHED:
		return true;
	case TCP_FIN_WAIT1:
	case TCP_CLOSE_WAIT:
		return before == TCP_ESTABLISHED;
	case TCP_CLOSE:
		return before != TCP_LISTEN && before != TCP_CLOSE;
	default:
		return false;
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int before, int after)
{
	__u32 netns = sk->__sk_common.skc_net.net->ns.inum, zero = 0;

	if (sk->sk_protocol != IPPROTO_TCP || !is_told(before, after) || !bpf_map_lookup_elem(&chosen, &netns))
		return 0;
	struct connection_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		struct connection_losses *lost = bpf_map_lookup_elem(&losses, &zero);

		if (lost)
			lost->events++;
		return 0;
	}
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	event->socket = (__u64)sk;
	event->at_ns = bpf_ktime_get_ns();
	event->cgroup_id = sk->sk_cgrp_data.cgroup->kn->id;
	event->bytes_received = tcp ? tcp->bytes_received : 0;
	event->bytes_acked = tcp ? tcp->bytes_acked : 0;
	event->netns = netns;
	event->pid = after == TCP_SYN_SENT ? bpf_get_current_pid_tgid() >> 32 : 0;
	event->rtt_us = tcp ? tcp->srtt_us >> 3 : 0;
	event->retransmits = tcp ? tcp->total_retrans : 0;
	event->error = sk->sk_err;
	event->local_port = sk->__sk_common.skc_num;
	event->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	event->family = sk->__sk_common.skc_family;
	event->before = before;
	event->after = after;
	event->reserved = 0;
	__builtin_memset(event->local, 0, sizeof(event->local));
	__builtin_memset(event->remote, 0, sizeof(event->remote));
	if (event->family == AF_INET) {
		*(__be32 *)event->local = sk->__sk_common.skc_rcv_saddr;
		*(__be32 *)event->remote = sk->__sk_common.skc_daddr;
	} else {
		bpf_probe_read_kernel(event->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(event->remote, 16, &sk->__sk_common.skc_v6_daddr);
	}
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
