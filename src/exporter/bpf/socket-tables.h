/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the hash tables of sockets are. */
#pragma once
#include "socket-walk.h"

static __always_inline struct walk connections_of(struct inet_hashinfo *info)
{
	return (struct walk){
		.base = (__u64)BPF_CORE_READ(info, ehash),
		.buckets = (__u64)BPF_CORE_READ(info, ehash_mask) + 1,
		.stride = bpf_core_type_size(struct inet_ehash_bucket),
		.head = bpf_core_field_offset(struct inet_ehash_bucket, chain),
		.protocol = IPPROTO_TCP,
	};
}

static __always_inline struct walk listeners_of(struct inet_hashinfo *info)
{
	return (struct walk){
		.base = (__u64)BPF_CORE_READ(info, lhash2),
		.buckets = (__u64)BPF_CORE_READ(info, lhash2_mask) + 1,
		.stride = bpf_core_type_size(struct inet_listen_hashbucket),
		.head = bpf_core_field_offset(struct inet_listen_hashbucket, nulls_head),
		.end = LISTENING_NULLS_BASE,
		.protocol = IPPROTO_TCP,
	};
}

static __always_inline struct walk datagrams_of(struct udp_table *table)
{
	return (struct walk){
		.base = (__u64)BPF_CORE_READ(table, hash),
		.buckets = (__u64)BPF_CORE_READ(table, mask) + 1,
		.stride = bpf_core_type_size(struct udp_hslot),
		.head = bpf_core_field_offset(struct udp_hslot, head),
		.end = NO_MARK,
		.protocol = IPPROTO_UDP,
	};
}

/*
 * The UDP table of a namespace. Before Linux 6.2 there was one for all: the protocol has it, and every namespace has a
 * socket of that protocol for its own use.
 */
static __always_inline struct udp_table *udp_table_of(struct net *net)
{
	if (bpf_core_field_exists(net->ipv4.udp_table))
		return BPF_CORE_READ(net, ipv4.udp_table);
	return BPF_CORE_READ(net, ipv4.mc_autojoin_sk, __sk_common.skc_prot, h.udp_table);
}

/* The circle of all network namespaces. It has one member that is none: the list's head, behind which init_net lies. */
struct circle {
	struct net *current;
	const struct proc_ns_operations *ops; /* every network namespace has the same */
	struct inet_hashinfo *shared_tcp;
	struct udp_table *shared_udp;
	__u64 found;
};

static __always_inline struct net *next_namespace(struct net *net)
{
	return (void *)BPF_CORE_READ(net, list.next) - bpf_core_field_offset(struct net, list);
}

static int find_head(__u32 index, struct circle *circle)
{
	struct net *net = circle->current;

	circle->current = next_namespace(net);
	if (BPF_CORE_READ(net, ns.ops) == circle->ops)
		return 0;
	circle->found = true;
	return 1;
}

/* NULL when this kernel's list is not as expected. */
static __always_inline struct net *find_init_namespace(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *own = BPF_CORE_READ(task, nsproxy, net_ns);
	struct circle circle = { .current = own, .ops = BPF_CORE_READ(own, ns.ops) };

	bpf_loop(MOST_NAMESPACES, find_head, &circle, 0);
	return circle.found ? circle.current : (void *)0;
}

/* Walks the tables that a namespace has to itself (sysctl net.ipv4.tcp_child_ehash_entries, udp_child_hash_entries). */
static int visit_namespace(__u32 index, struct circle *circle)
{
	struct net *net = circle->current;

	if (BPF_CORE_READ(net, ns.ops) != circle->ops)
		return 1; /* round */
	circle->current = next_namespace(net);
	pass.namespaces++;
	struct inet_hashinfo *info = BPF_CORE_READ(net, ipv4.tcp_death_row.hashinfo);
	struct udp_table *table = udp_table_of(net);

	if (info && info != circle->shared_tcp) {
		struct walk walk = connections_of(info);

		pass.private_tables++;
		go_on(&walk, false);
	}
	if (table && table != circle->shared_udp) {
		struct walk walk = datagrams_of(table);

		pass.private_tables++;
		go_on(&walk, false);
	}
	return 0;
}
