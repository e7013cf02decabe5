/* SPDX-License-Identifier: GPL-2.0-only */
/* What is done when bytes moved on a socket, whichever hook told of it. */
#pragma once
#include "requests-record.h"
#include "requests-socket.h"
#include "requests-tls.h"
#include <bpf/bpf_endian.h>
#ifndef SYSCALL_HOOKS
#include "read.h"
#endif

/* With which the current task entered the kernel: what the hook was given, or else asked for, where they are needed. */
static __always_inline struct pt_regs *entry_registers(struct pt_regs *given)
{
#ifdef SYSCALL_HOOKS
	return given;
#else
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
#endif
}

/* When bytes moved, in nanoseconds of CLOCK_MONOTONIC. */
static __always_inline __u64 time_of(struct sock *sk, __u32 direction)
{
#ifndef SYSCALL_HOOKS
	/*
	 * Asking the clock costs as much as copying a head. TCP itself does so in every receive, when it has copied, and whenever
	 * it transmits: not where something stands between it and the program (TLS of the kernel, sockops.bpf.c).
	 */
	if (likely(!sk->sk_user_data && !KERNEL(inet_connection_sock, sk)->icsk_ulp_ops)) {
		struct tcp_sock *tcp = KERNEL(tcp_sock, sk);

		if (direction == EVENT_RECEIVED || (direction == EVENT_SENT && tcp->write_seq == tcp->snd_nxt))
			return tcp->tcp_clock_cache;
	}
#endif
	return bpf_ktime_get_ns();
}

static __always_inline void describe(struct request_event *event, struct sock *sk, struct watched *watched, __u32 kind)
{
	describe_stream(event, watched, kind, time_of(sk, kind));
	event->cgroup_id = watched->cgroup_id;
	event->family = SOCK(sk, skc_family);
	event->local_port = SOCK(sk, skc_num);
	event->remote_port = bpf_ntohs(SOCK(sk, skc_dport));
	if (event->family == AF_INET6)
		COPY_SOCK(event->remote_address, 16, sk, skc_v6_daddr);
	else
		COPY_SOCK(event->remote_address, 4, sk, skc_daddr);
}

/*
 * Records a short message, or a short head whose body is in a second vector, right where it will be read, without a draft: most
 * messages are so. False: it is none, and nothing was done.
 */
static __always_inline bool record_short(struct sock *sk, struct watched *watched, const struct place *place, __u32 length,
					 __u32 direction)
{
	struct piece piece = find_short(place, length);
	struct request_event *event;
	__u8 *data;

	if (!piece.bytes)
		return false;
	event = bpf_ringbuf_reserve(&events, sizeof *event + SHORT, 0);
	if (!event)
		return false;
	data = (__u8 *)(event + 1);
	BOUND(piece.bytes, SHORT);
	if (bpf_probe_read_user(data, piece.bytes, (void *)piece.at) ||
	    (piece.bytes < length && !is_head(data, piece.bytes, SHORT))) {
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
		return false;
	}
	__u32 wanted = wanted_of(watched, data, length, direction);

	describe(event, sk, watched, direction);
	locate(event, watched, length, direction);
	event->captured = piece.bytes < wanted ? piece.bytes : wanted;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return true;
}

/* Whether the cgroup of a socket with this memory, or none, is known to be chosen: that is looked up once for each generation of settings. */
static __always_inline bool is_current(const struct watched *watched)
{
	return watched && watched->generation == settings.generation;
}

/* The memory of a socket, made where it has none, if its cgroup is chosen. */
static __always_inline struct watched *watch(struct sock *sk, struct watched *watched, __u64 cgroup)
{
	if (!bpf_map_lookup_elem(&chosen, &cgroup))
		return 0;
	if (!watched)
		watched = make_memory(sk);
	if (!watched) {
		struct request_losses *loss = losses_here();

		if (loss)
			loss->sockets++;
		return 0;
	}
	watched->generation = settings.generation;
	if (!watched->cgroup_id)
		watched->cgroup_id = cgroup;
	return watched;
}

/* `given`: see entry_registers. */
static __always_inline void moved(struct sock *sk, struct watched *watched, struct pt_regs *given, int length,
				  __u32 direction)
{
	if (unlikely(watched->claimed))
		return;
	if (unlikely(settings.follow_tls)) {
		if (is_of_tls_call(sk, watched, entry_registers(given)))
			return;
		if (watched->protocol == PROTOCOL_TLS && direction == EVENT_RECEIVED)
			hear(sk, watched);
	}
	if (unlikely(watched->protocol == PROTOCOL_TLS) || !is_recorded(watched, length, direction))
		return;

	struct place place = find_place(entry_registers(given));
	struct draft *draft;

	place.http1 = watched->protocol == PROTOCOL_HTTP1;
	if (place.http1 && record_short(sk, watched, &place, length, direction))
		return;
	draft = bpf_map_lookup_elem(&drafts, &direction);
	if (!draft)
		return;
	describe(&draft->event, sk, watched, direction);
	record(draft, watched, &place, length, direction);
	if (settings.follow_tls && direction == EVENT_RECEIVED && draft->event.captured >= 5 && begins_record(draft->data, length))
		hear(sk, watched);
}

/* The connection has ended. */
static __always_inline void ended(struct sock *sk, struct watched *watched)
{
	__u32 draft_index = EVENT_CLOSED;
	struct draft *draft;

	if (!(watched->events || watched->claimed))
		return;
	draft = bpf_map_lookup_elem(&drafts, &draft_index);
	if (!draft)
		return;
	describe(&draft->event, sk, watched, EVENT_CLOSED);
	watched->events = 0;
	watched->claimed = 0;
	emit(draft, 0);
}
