/* SPDX-License-Identifier: GPL-2.0-only */
/* What is done when bytes moved on a socket, whichever hook told of it. */
#pragma once
#include "requests-record.h"
#include "requests-socket.h"
#include "requests-tls.h"
#include <bpf/bpf_endian.h>

static __always_inline void describe(struct request_event *event, struct sock *sk, struct watched *watched, __u64 cgroup,
				     __u32 kind)
{
	describe_stream(event, watched, kind);
	event->cgroup_id = cgroup;
	event->family = SOCK(sk, skc_family);
	event->local_port = SOCK(sk, skc_num);
	event->remote_port = bpf_ntohs(SOCK(sk, skc_dport));
	if (event->family == AF_INET6)
		COPY_SOCK(event->remote_address, 16, sk, skc_v6_daddr);
	else
		COPY_SOCK(event->remote_address, 4, sk, skc_daddr);
}

/* The memory of a socket whose cgroup is chosen. That is looked up once for each generation of settings. */
static __always_inline struct watched *watch(struct sock *sk, __u64 cgroup)
{
	struct watched *watched = memory_of(sk);

	if (watched && watched->generation == settings.generation)
		return watched;
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
	return watched;
}

/* `regs`: with which the task entered the kernel. */
static __always_inline void moved(struct sock *sk, struct watched *watched, __u64 cgroup, struct pt_regs *regs, int length,
				  __u32 direction)
{
	if (watched->claimed)
		return;
	if (settings.follow_tls) {
		if (is_of_tls_call(sk, watched, cgroup, regs))
			return;
		if (watched->protocol == PROTOCOL_TLS && direction == EVENT_RECEIVED)
			hear(sk, watched, cgroup);
	}
	if (watched->protocol == PROTOCOL_TLS || !is_recorded(watched, length, direction))
		return;

	struct draft *draft = bpf_map_lookup_elem(&drafts, &direction);

	if (!draft)
		return;
	struct place place = find_place(regs);

	place.http1 = watched->protocol == PROTOCOL_HTTP1;
	describe(&draft->event, sk, watched, cgroup, direction);
	record(draft, watched, &place, length, direction);
	if (settings.follow_tls && direction == EVENT_RECEIVED && draft->event.captured >= 5 && begins_record(draft->data, length))
		hear(sk, watched, cgroup);
}

/* The connection has ended. */
static __always_inline void ended(struct sock *sk, struct watched *watched, __u64 cgroup)
{
	__u32 draft_index = EVENT_CLOSED;
	struct draft *draft;

	if (!(watched->events || watched->claimed))
		return;
	draft = bpf_map_lookup_elem(&drafts, &draft_index);
	if (!draft)
		return;
	describe(&draft->event, sk, watched, cgroup, EVENT_CLOSED);
	watched->events = 0;
	watched->claimed = 0;
	emit(draft, 0);
}
