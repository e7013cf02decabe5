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
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "requests-moved.h"

char LICENSE[] SEC("license") = "GPL";


static __always_inline __u64 cgroup_of(struct sock *sk)
{
	return sk->sk_cgrp_data.cgroup->kn->id;
}

/* The memory of a socket whose cgroup is chosen. Of most it is there already: they are not asked for their cgroup. */
static __always_inline struct watched *watch_socket(struct sock *sk)
{
	struct watched *watched = sk->sk_bpf_storage ? memory_of(sk) : 0;
	__u64 cgroup;

	if (likely(is_current(watched)))
		return watched;
	cgroup = cgroup_of(sk);
	if (!may_be_chosen(cgroup) || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	watched = watch(sk, watched, cgroup);
	if (watched && !watched->cookie)
		watched->cookie = bpf_get_socket_cookie(sk);
	return watched;
}

static __always_inline int on_moved(struct sock *sk, int length, int flags, __u32 direction)
{
	struct watched *watched;

	if (length <= 0 || (direction == EVENT_RECEIVED && (flags & MSG_PEEK)))
		return 0;
	watched = watch_socket(sk);
	if (watched)
		moved(sk, watched, 0, length, direction);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_sent, struct sock *sk, int length, int flags)
{
	return on_moved(sk, length, flags, EVENT_SENT);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_received, struct sock *sk, int length, int flags)
{
	return on_moved(sk, length, flags, EVENT_RECEIVED);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int before, int after)
{
	struct watched *watched;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (after == TCP_ESTABLISHED) {
		watched = watch_socket(sk);
		if (watched)
			watched->from_start = 1;
		return 0;
	}
	if (after != TCP_CLOSE)
		return 0;
	watched = memory_of(sk);
	if (watched)
		ended(sk, watched);
	return 0;
}
