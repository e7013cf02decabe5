// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first bytes that system calls move on TCP sockets of chosen cgroups, in a ring that user space reads.
 *
 * sock_send_length and sock_recv_length (Linux 6.3) fire inside the system call, with the socket and the number of bytes that
 * really moved; the registers with which the task entered the kernel say where in its memory they are. So no system call is
 * traced: that would slow down every process of the machine.
 */
#include "requests.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "requests-maps.h"
#include "requests-record.h"
#include "requests-tls.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline void describe(struct request_event *event, struct sock *sk, struct watched *watched, __u64 cgroup,
				     __u32 kind)
{
	describe_stream(event, watched, kind);
	event->cgroup_id = cgroup;
	event->family = sk->__sk_common.skc_family;
	event->local_port = sk->__sk_common.skc_num;
	event->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (event->family == AF_INET6)
		__builtin_memcpy(event->remote_address, &sk->__sk_common.skc_v6_daddr, 16);
	else
		__builtin_memcpy(event->remote_address, &sk->__sk_common.skc_daddr, 4);
}

static __always_inline __u64 cgroup_of(struct sock *sk)
{
	return sk->sk_cgrp_data.cgroup->kn->id;
}

/* The memory of a socket whose cgroup is chosen. That is looked up once for each generation of settings. */
static __always_inline struct watched *watch(struct sock *sk, const struct request_settings *set, __u64 cgroup)
{
	struct watched *watched = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (watched && watched->generation == set->generation)
		return watched;
	if (!bpf_map_lookup_elem(&chosen, &cgroup))
		return 0;
	if (!watched)
		watched = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!watched) {
		struct request_losses *loss = losses_here();

		if (loss)
			loss->sockets++;
		return 0;
	}
	if (!watched->cookie)
		watched->cookie = bpf_get_socket_cookie(sk);
	watched->generation = set->generation;
	return watched;
}

static __always_inline int moved(struct sock *sk, int length, int flags, __u32 direction)
{
	if (length <= 0)
		return 0;
	__u64 cgroup = cgroup_of(sk);
	struct request_settings *set = settings_of(cgroup);

	if (!set || sk->sk_protocol != IPPROTO_TCP || (direction == EVENT_RECEIVED && (flags & MSG_PEEK)))
		return 0;
	struct watched *watched = watch(sk, set, cgroup);

	if (!watched || watched->claimed)
		return 0;
	if (set->follow_tls) {
		if (is_of_tls_call(sk, watched, cgroup))
			return 0;
		if (watched->protocol == PROTOCOL_TLS && direction == EVENT_RECEIVED)
			hear(sk, watched, cgroup);
	}
	if (watched->protocol == PROTOCOL_TLS || !is_recorded(watched, set, length, direction))
		return 0;

	struct draft *draft = bpf_map_lookup_elem(&drafts, &direction);

	if (!draft)
		return 0;
	struct place place = find_place();

	place.http1 = watched->protocol == PROTOCOL_HTTP1;
	describe(&draft->event, sk, watched, cgroup, direction);
	record(draft, watched, &place, length, direction);
	if (set->follow_tls && direction == EVENT_RECEIVED && draft->event.captured >= 5 && begins_record(draft->data, length))
		hear(sk, watched, cgroup);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_sent, struct sock *sk, int length, int flags)
{
	return moved(sk, length, flags, EVENT_SENT);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_received, struct sock *sk, int length, int flags)
{
	return moved(sk, length, flags, EVENT_RECEIVED);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int before, int after)
{
	__u32 draft_index = EVENT_CLOSED;
	struct request_settings *set;
	struct watched *watched;
	__u64 cgroup;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (after == TCP_ESTABLISHED) {
		cgroup = cgroup_of(sk);
		set = settings_of(cgroup);
		watched = set ? watch(sk, set, cgroup) : 0;
		if (watched)
			watched->from_start = 1;
		return 0;
	}
	if (after != TCP_CLOSE)
		return 0;
	watched = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!watched || !(watched->events || watched->claimed))
		return 0;
	struct draft *draft = bpf_map_lookup_elem(&drafts, &draft_index);

	if (!draft)
		return 0;
	describe(&draft->event, sk, watched, cgroup_of(sk), EVENT_CLOSED);
	watched->events = 0;
	watched->claimed = 0;
	emit(draft, 0);
	return 0;
}
