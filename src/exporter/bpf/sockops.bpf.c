// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hands what one socket of chosen containers writes to the socket at the other end of its connection on this node, past
 * TCP and IP. The reader gets bytes that were handed over before those in its TCP receive queue, so one rule keeps them in order:
 * a message is handed over only when the reader has read every byte that ever went the normal way, which is when its
 * copied_seq is the writer's write_seq. docs/sockops.md says what else has to hold, and what cannot be had.
 */
#include "sockops.h"
#include "contexts.h"
#include "sockops-calls.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* How many messages an end sends before its peer is no longer looked for. */
enum { MAX_TRIES = 64 };
/* What the kernel keeps in the low bits of sk_user_data (include/net/sock.h). */
#define USER_DATA_FLAGS 7UL
/* Of sk_shutdown. */
enum { RCV_SHUTDOWN = 1 };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct sockops_chosen);
} chosen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, __u64);
} podsonar_socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct sockops_end);
} ends SEC(".maps");

/* Cookies by flow. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct sockops_flow);
	__type(value, __u64);
} flows SEC(".maps");

/* Addresses that chosen containers have connections at. */
struct address {
	__u32 word[4];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct address);
	__type(value, __u32);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sockops_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sockops_settings);
} settings SEC(".maps");

static __always_inline bool is_alive(void)
{
	__u32 zero = 0;
	struct sockops_settings *now = bpf_map_lookup_elem(&settings, &zero);

	return now && bpf_ktime_get_ns() < now->alive_until_ns;
}

static __always_inline bool is_excluded(__u64 cgroup_id)
{
	struct sockops_chosen *container = bpf_map_lookup_elem(&chosen, &cgroup_id);

	return !container || container->calls;
}

static __always_inline bool is_observed_enough(__u64 cgroup_id)
{
	struct sockops_chosen *container = bpf_map_lookup_elem(&chosen, &cgroup_id);

	return container && bpf_ktime_get_ns() >= container->from_ns;
}

static __always_inline void count_fallback(enum sockops_fallback reason)
{
	__u32 zero = 0;
	struct sockops_counters *sums = bpf_map_lookup_elem(&counters, &zero);

	if (sums && reason < FALLBACKS)
		sums->fallbacks[reason]++;
}

static __always_inline bool is_loopback(const __u32 *address)
{
	if (address[0] || address[1])
		return false;
	if (address[2] == bpf_htonl(0xffff))
		return (address[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !address[2] && address[3] == bpf_htonl(1);
}

static __always_inline void flow_of(struct sock *sk, struct sockops_flow *flow)
{
	struct sock_common *common = &sk->__sk_common;

	__builtin_memset(flow, 0, sizeof(*flow));
	if (common->skc_family == AF_INET) {
		flow->local[2] = flow->remote[2] = bpf_htonl(0xffff);
		flow->local[3] = common->skc_rcv_saddr;
		flow->remote[3] = common->skc_daddr;
	} else {
		for (int word = 0; word < 4; word++) {
			flow->local[word] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[word];
			flow->remote[word] = common->skc_v6_daddr.in6_u.u6_addr32[word];
		}
	}
	flow->local_port = common->skc_num;
	flow->remote_port = bpf_ntohs(common->skc_dport);
	if (is_loopback(flow->remote))
		flow->netns = common->skc_net.net->ns.inum;
}

static __always_inline struct sockops_flow reversed(const struct sockops_flow *flow)
{
	struct sockops_flow other = {
		.local_port = flow->remote_port, .remote_port = flow->local_port, .netns = flow->netns
	};

	__builtin_memcpy(other.local, flow->remote, sizeof(other.local));
	__builtin_memcpy(other.remote, flow->local, sizeof(other.remote));
	return other;
}

/* Whether the other end can be one of ours: only such sockets are touched. */
static __always_inline bool is_near(const struct sockops_flow *flow)
{
	return flow->netns || bpf_map_lookup_elem(&addresses, flow->remote);
}

#define FLAG(name) (1UL << bpf_core_enum_value(enum sock_flags, name))

/* Whether it has taken over from its listener what excludes a container: nobody was watched when that was set. */
static __always_inline bool has_odd_options(struct sock *sk, struct tcp_sock *tcp)
{
	unsigned long odd = FLAG(SOCK_URGINLINE) | FLAG(SOCK_RCVTSTAMP) | FLAG(SOCK_RCVTSTAMPNS) |
			    FLAG(SOCK_TIMESTAMPING_RX_SOFTWARE) | FLAG(SOCK_ZEROCOPY);

	return sk->__sk_common.skc_flags & odd || sk->sk_peek_off >= 0 ||
	       BPF_CORE_READ_BITFIELD_PROBED(tcp, recvmsg_inq);
}

static __always_inline int on_established(struct bpf_sock_ops *ops, struct sock *sk, struct tcp_sock *tcp)
{
	struct sockops_end end = { .sk = (__u64)sk, .cgroup_id = sk->sk_cgrp_data.cgroup->kn->id };
	__u64 cookie = bpf_get_socket_cookie(ops);
	__u32 zero = 0;

	/* The kernel's own, as those below MPTCP: whoever made them relies on their functions. */
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock))
		return 1;
	flow_of(sk, &end.flow);
	if (!end.flow.netns)
		bpf_map_update_elem(&addresses, end.flow.local, &zero, BPF_ANY);
	if (!is_near(&end.flow) || is_excluded(end.cgroup_id) || !is_alive())
		return 1;
	if (!is_observed_enough(end.cgroup_id)) {
		count_fallback(FALLBACK_OBSERVED);
		return 1;
	}
	if (has_odd_options(sk, tcp)) {
		count_fallback(FALLBACK_EXCLUDED);
		return 1;
	}
	end.read_at = tcp->copied_seq;
	if (bpf_map_update_elem(&ends, &cookie, &end, BPF_ANY) < 0)
		goto no_room;
	if (bpf_map_update_elem(&flows, &end.flow, &cookie, BPF_ANY) < 0)
		goto no_room;
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	if (bpf_sock_hash_update(ops, &podsonar_socks, &cookie, BPF_NOEXIST) < 0) {
		bpf_map_delete_elem(&flows, &end.flow);
		goto no_room;
	}
	struct sockops_counters *sums = bpf_map_lookup_elem(&counters, &zero);

	if (sums)
		sums->connections++;
	return 1;
no_room:
	bpf_map_delete_elem(&ends, &cookie);
	count_fallback(FALLBACK_NO_ROOM);
	return 1;
}

static __always_inline void on_closed(struct bpf_sock_ops *ops)
{
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct sockops_end *end = bpf_map_lookup_elem(&ends, &cookie);

	if (!end)
		return;
	bpf_map_delete_elem(&flows, &end->flow);
	bpf_map_delete_elem(&ends, &cookie);
}

SEC("sockops")
int podsonar_ops(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct tcp_sock *tcp;

	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		tcp = sk ? bpf_skc_to_tcp_sock(sk) : (void *)0;
		if (tcp)
			return on_established(ops, (struct sock *)tcp, tcp);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] == TCP_CLOSE)
			on_closed(ops);
		break;
	}
	return 1;
}

/* Whether nothing waits in the queue that messages are handed to. */
static __always_inline bool is_drained(struct sock *sk)
{
	unsigned long user_data = (unsigned long)BPF_CORE_READ(sk, sk_user_data) & ~USER_DATA_FLAGS;
	struct sk_psock *psock = (struct sk_psock *)user_data;
	struct list_head *first = psock ? BPF_CORE_READ(psock, ingress_msg.next) : (void *)0;

	return !first || first == &psock->ingress_msg;
}

static __always_inline __u64 cookie_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

/*
 * Whether the reader has room. Linux 6.14 and later count what was handed over in sk_rmem_alloc; where it is not counted,
 * one message at a time is handed over.
 */
static __always_inline bool has_room(struct sock *sk, __u32 size)
{
	__u32 used = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	__u32 limit = BPF_CORE_READ(sk, sk_rcvbuf);

	if (!used && !is_drained(sk))
		return false;
	return used + size <= limit / 2;
}

/* The peer's end, looked for once; it is the peer when its flow is ours the other way round. */
static __always_inline struct sockops_end *peer_of(struct sockops_end *own)
{
	if (!own->peer) {
		struct sockops_flow other = reversed(&own->flow);
		__u64 *cookie = own->tries < MAX_TRIES ? bpf_map_lookup_elem(&flows, &other) : (void *)0;

		own->tries++;
		if (!cookie)
			return (void *)0;
		own->peer = *cookie;
	}
	__u64 cookie = own->peer;

	return bpf_map_lookup_elem(&ends, &cookie);
}

static __always_inline enum sockops_fallback obstacle(struct tcp_sock *tcp, struct sockops_end *own, __u32 size)
{
	struct sockops_end *other;
	struct tcp_sock *peer;
	__u32 read_up_to;
	__u8 state;

	if (!is_alive())
		return FALLBACK_STOPPED;
	other = peer_of(own);
	if (!other)
		return FALLBACK_NO_PEER;
	if (is_excluded(own->cgroup_id) || is_excluded(other->cgroup_id))
		return FALLBACK_EXCLUDED;
	peer = (struct tcp_sock *)other->sk;
	if (cookie_of((struct sock *)peer) != own->peer)
		return FALLBACK_CLOSING;
	state = BPF_CORE_READ((struct sock *)peer, __sk_common.skc_state);
	if (state != TCP_ESTABLISHED && state != TCP_FIN_WAIT1 && state != TCP_FIN_WAIT2)
		return FALLBACK_CLOSING;
	/* It is to answer by a reset. */
	if (BPF_CORE_READ((struct sock *)peer, sk_shutdown) & RCV_SHUTDOWN)
		return FALLBACK_CLOSING;
	read_up_to = BPF_CORE_READ(peer, copied_seq);
	if (read_up_to == other->read_at)
		return FALLBACK_NOT_READ_YET;
	if (read_up_to != tcp->write_seq)
		return FALLBACK_IN_FLIGHT;
	if (BPF_CORE_READ((struct sock *)peer, sk_rcvlowat) > 1)
		return FALLBACK_EXCLUDED;
	if (!has_room((struct sock *)peer, size))
		return FALLBACK_FULL;
	return FALLBACKS;
}

SEC("sk_msg")
int podsonar_msg(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct tcp_sock *tcp = sk ? bpf_skc_to_tcp_sock(sk) : (void *)0;
	__u64 cookie;
	struct sockops_end *own;
	__u32 size = msg->size, zero = 0;
	enum sockops_fallback reason = FALLBACK_NO_PEER;

	if (!tcp)
		return SK_PASS;
	cookie = ((struct sock *)tcp)->__sk_common.skc_cookie.counter;
	own = bpf_map_lookup_elem(&ends, &cookie);
	if (own)
		reason = obstacle(tcp, own, size);
	if (own && reason == FALLBACKS) {
		__u64 peer = own->peer;
		struct sockops_counters *sums = bpf_map_lookup_elem(&counters, &zero);

		if (bpf_msg_redirect_hash(msg, &podsonar_socks, &peer, BPF_F_INGRESS) == SK_PASS) {
			if (sums) {
				sums->messages++;
				sums->bytes += size;
			}
			return SK_PASS;
		}
		reason = FALLBACK_CLOSING;
	}
	count_fallback(reason);
	return SK_PASS;
}

static __always_inline void exclude(enum sockops_call call)
{
	__u64 cgroup_id = bpf_get_current_cgroup_id();
	struct sockops_chosen *container = bpf_map_lookup_elem(&chosen, &cgroup_id);

	/* Of two at once one may be lost, which the other makes up for: any bit excludes. */
	if (container)
		container->calls |= 1U << call;
}

/* Marks the containers that make a call which the short cut would do wrong, before the call is made. */
SEC("tp_btf/sys_enter")
int podsonar_calls(__u64 *context)
{
	struct pt_regs *registers = (struct pt_regs *)context[0];
	__u32 second = SECOND(registers), third = THIRD(registers), fourth = FOURTH(registers);
	int call = call_of((long)context[1], second, third, fourth);

	if (call >= 0)
		exclude(call);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(podsonar_uring, struct io_kiocb *request)
{
	if (is_of_sockets(request->opcode))
		exclude(CALL_IO_URING);
	return 0;
}

/* Whether something that came the normal way was ever read. */
static __always_inline bool has_read(struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u32 unread = BPF_CORE_READ(tcp, rcv_nxt) - BPF_CORE_READ(tcp, copied_seq);

	return BPF_CORE_READ(tcp, bytes_received) > unread;
}

/* Called when a receive has ended: a container's first ones are seen before its connections are touched. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(podsonar_recv, struct sock *sk, int result, int flags)
{
	struct socket *socket;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	/* The first bytes of a connection are never handed over, and one byte is found where it waits. */
	if (flags & MSG_PEEK && result > 1 && has_read(sk))
		exclude(CALL_PEEK);
	if (flags & MSG_DONTWAIT)
		return 0;
	socket = BPF_CORE_READ(sk, sk_socket);
	if (socket && !(BPF_CORE_READ(socket, file, f_flags) & O_NONBLOCK))
		exclude(CALL_BLOCKING);
	return 0;
}

static long sweep_end(void *map, __u64 *cookie, struct sockops_end *end, void *unused)
{
	struct sock *sk = (struct sock *)end->sk;

	end->drained = cookie_of(sk) != *cookie || is_drained(sk);
	return 0;
}

/* Run by hand: says of each end whether something waits in its queue. */
SEC("raw_tp")
int podsonar_sweep(void *context)
{
	bpf_for_each_map_elem(&ends, sweep_end, (void *)0, 0);
	return 0;
}
