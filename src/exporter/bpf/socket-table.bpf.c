// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TCP and UDP sockets of every network namespace, in one walk over the kernel's hash tables. /proc/net/tcp walks
 * the same tables, once for each namespace that asks.
 *
 * Run by BPF_PROG_TEST_RUN, in slices: the first with argument 1 starts a pass, each further one goes on until the
 * phase is PHASE_DONE. Nothing is locked: sockets come and go meanwhile. A chain that changed is noticed as the
 * kernel's own readers notice it (it ends in the mark of another bucket) and walked again.
 *
 * Built twice: as is, for kernels with bpf_rdonly_cast (Linux 6.2), and with -DPROBE_READS, slower, for those without.
 */
#include "socket-table.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "GPL";

#ifdef PROBE_READS
#define KERNEL(type, pointer) ((struct type *)(pointer))
#define READ(pointer, field) BPF_CORE_READ(pointer, field)
#else
extern void *bpf_rdonly_cast(void *pointer, __u32 type) __ksym;
#define KERNEL(type, pointer) \
	((struct type *)bpf_rdonly_cast((void *)(pointer), bpf_core_type_id_kernel(struct type)))
#define READ(pointer, field) ((pointer)->field)
#endif

/* Buckets are read this many bytes at a time: one probe read for hundreds of empty buckets. */
#define CHUNK_BYTES 8192
/* A slice ends once it read as many rows or chunks, about 3 ms. */
#define SLICE_ROWS 16384
#define SLICE_CHUNKS 128
/* No real chain is as long; one that is has been torn into a circle. */
#define LONGEST_CHAIN (1 << 20)
#define RETRIES 3
#define MOST_NAMESPACES (1 << 17)

struct chunk {
	__u64 words[CHUNK_BYTES / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct socket_row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct chunk);
} chunks SEC(".maps");

struct socket_pass pass;

/* A hash table of sockets, and how far its walk is. */
struct walk {
	__u64 base;
	__u64 buckets;
	__u64 stride; /* bytes of a bucket */
	__u64 head; /* offset of the chain's head in a bucket */
	__u64 end; /* the mark of bucket 0; NO_MARK where chains end in NULL */
	__u64 bucket; /* next to visit */
	__u64 row_limit; /* stop before a chunk once so many rows were read */
	__u32 protocol;
	__u32 slice; /* chunks to visit at most */
	struct chunk *chunk;
};
#define NO_MARK (~0ULL)

struct chain {
	__u64 node;
	__u64 head; /* address of its head */
	__u64 end; /* the mark that it must end in */
	__u64 first_row;
	__u32 protocol;
	__u32 attempts;
	__u32 over;
};

static __always_inline void read_owner(struct socket_row *row, struct sock *owner)
{
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

static __always_inline void read_tcp(struct socket_row *row, struct sock *sk)
{
	struct tcp_sock *tcp = KERNEL(tcp_sock, sk);
	__s32 unread = READ(tcp, rcv_nxt) - READ(tcp, copied_seq);

	row->rx_queue = unread > 0 ? unread : 0; /* the two are read at different moments */
	row->tx_queue = READ(tcp, write_seq) - READ(tcp, snd_una);
	row->srtt_us = READ(tcp, srtt_us) >> 3; /* kept in eighths */
	row->losses = READ(tcp, total_retrans);
	row->bytes_acked = READ(tcp, bytes_acked);
	row->bytes_received = READ(tcp, bytes_received);
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
	row->reserved = 0;
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
			row->rx_queue = READ(sk, sk_ack_backlog);
			row->tx_queue = READ(sk, sk_max_ack_backlog);
		} else {
			read_tcp(row, sk);
		}
	}
	return true;
}

/* Walks a chain that changed from its head again; 1 when it was tried often enough. */
static __always_inline int walk_again(struct chain *chain)
{
	if (chain->attempts++ >= RETRIES || bpf_probe_read_kernel(&chain->node, 8, (void *)chain->head)) {
		pass.torn++;
		chain->over = true;
		return 1;
	}
	pass.retried++;
	pass.rows = chain->first_row;
	return 0;
}

static int visit_socket(__u32 index, struct chain *chain)
{
	__u64 node = chain->node;

	if (!node || (node & 1)) {
		if (chain->end != NO_MARK && node >> 1 != chain->end)
			return walk_again(chain);
		chain->over = true;
		return 1;
	}
	/* skc_node and skc_nulls_node share their place. */
	if (!append(node - bpf_core_field_offset(struct sock_common, skc_nulls_node), chain->protocol))
		return walk_again(chain);
	if (bpf_probe_read_kernel(&chain->node, 8, (void *)node))
		return walk_again(chain);
	return 0;
}

static int visit_bucket(__u32 index, struct walk *walk)
{
	struct chunk *chunk = walk->chunk;
	__u64 word = (index * walk->stride + walk->head) / 8;

	if (!chunk)
		return 1;
	/* For the verifier: clang would drop a mask that it can prove. */
	asm volatile("%0 &= %1" : "+r"(word) : "i"(CHUNK_BYTES / 8 - 1));
	__u64 first = chunk->words[word];

	if (!first || (first & 1))
		return 0;
	struct chain chain = {
		.node = first,
		.head = walk->base + (walk->bucket + index) * walk->stride + walk->head,
		.end = walk->end == NO_MARK ? NO_MARK : walk->end + walk->bucket + index,
		.first_row = pass.rows,
		.protocol = walk->protocol,
	};
	bpf_loop(LONGEST_CHAIN, visit_socket, &chain, 0);
	if (!chain.over)
		pass.torn++;
	return 0;
}

static int visit_chunk(__u32 index, struct walk *walk)
{
	struct chunk *chunk = walk->chunk;
	__u64 count = walk->buckets - walk->bucket;
	__u64 most = CHUNK_BYTES / walk->stride;

	if (!chunk || walk->bucket >= walk->buckets || pass.rows >= walk->row_limit)
		return 1;
	if (count > most)
		count = most;
	__u64 bytes = count * walk->stride;
	if (bytes > CHUNK_BYTES)
		return 1;
	if (bpf_probe_read_kernel(chunk, bytes, (void *)(walk->base + walk->bucket * walk->stride)))
		pass.torn += count;
	else
		bpf_loop(count, visit_bucket, walk, 0);
	walk->bucket += count;
	return 0;
}

/* Goes on with a table; true when it is through. */
static __always_inline bool go_on(struct walk *walk, bool sliced)
{
	__u32 zero = 0;

	walk->chunk = bpf_map_lookup_elem(&chunks, &zero);
	walk->row_limit = sliced ? pass.rows + SLICE_ROWS : NO_MARK;
	if (!walk->base || !walk->stride)
		return true;
	bpf_loop(sliced ? SLICE_CHUNKS : LONGEST_CHAIN, visit_chunk, walk, 0);
	return walk->bucket >= walk->buckets;
}

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
	struct udp_table *table = BPF_CORE_READ(net, ipv4.udp_table);

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

SEC("raw_tp/sys_enter")
int read_sockets(__u64 *arguments)
{
	struct circle circle = {};
	struct walk walk;

	if (arguments[0] == 1) {
		__builtin_memset(&pass, 0, sizeof(pass));
		pass.init_namespace = (__u64)find_init_namespace();
	}
	struct net *init = (struct net *)pass.init_namespace;
	if (!init) {
		pass.status = PASS_NO_NAMESPACES;
		pass.phase = PHASE_DONE;
		return 0;
	}
	struct inet_hashinfo *tcp = BPF_CORE_READ(init, ipv4.tcp_death_row.hashinfo);
	struct udp_table *udp = BPF_CORE_READ(init, ipv4.udp_table);

	switch (pass.phase) {
	case PHASE_CONNECTIONS:
		walk = connections_of(tcp);
		break;
	case PHASE_LISTENERS:
		walk = listeners_of(tcp);
		break;
	case PHASE_UDP:
		walk = datagrams_of(udp);
		break;
	case PHASE_PRIVATE:
		/* In one slice: under one RCU read section no namespace and no table of it is freed. */
		circle = (struct circle){
			.current = init, .ops = BPF_CORE_READ(init, ns.ops), .shared_tcp = tcp, .shared_udp = udp
		};
		bpf_loop(MOST_NAMESPACES, visit_namespace, &circle, 0);
		pass.phase = PHASE_DONE;
		return 0;
	default:
		return 0;
	}
	walk.bucket = pass.bucket;
	bool through = go_on(&walk, true);

	pass.bucket = through ? 0 : walk.bucket;
	pass.phase += through;
	return 0;
}
