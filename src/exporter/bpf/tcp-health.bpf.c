// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts what happens to TCP connections, per container, where it happens: on BTF tracepoints, in maps of this object.
 * Nothing is sent to user space for an event; it reads the sums when it is asked for metrics.
 *
 * A connection is remembered by the address of its socket, from its first state to its last, in an LRU hash: where more
 * are open than that takes, the oldest lose their latency and lifetime, never their counts.
 */
#include "tcp-health.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* include/uapi/asm-generic/errno.h */
enum { ECONNRESET = 104, ETIMEDOUT = 110, ECONNREFUSED = 111, ENETUNREACH = 101, EHOSTUNREACH = 113 };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct tcp_health_key);
	__type(value, struct tcp_health);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, __u64);
	__type(value, struct tcp_connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcp_health_loss);
} losses SEC(".maps");

static const struct tcp_health nothing;

static __always_inline struct tcp_health *health_by(struct tcp_health_key *key)
{
	struct tcp_health *health = bpf_map_lookup_elem(&owners, key);
	__u32 zero = 0;

	if (health)
		return health;
	bpf_map_update_elem(&owners, key, &nothing, BPF_NOEXIST);
	health = bpf_map_lookup_elem(&owners, key);
	if (!health) {
		struct tcp_health_loss *loss = bpf_map_lookup_elem(&losses, &zero);

		if (loss)
			loss->owners++;
	}
	return health;
}

static __always_inline struct tcp_health_key key_of(struct sock *sk)
{
	return (struct tcp_health_key){
		.cgroup_id = sk->sk_cgrp_data.cgroup->kn->id,
		.netns = sk->__sk_common.skc_net.net->ns.inum,
	};
}

static __always_inline struct tcp_health *health_of(struct sock *sk)
{
	struct tcp_health_key key = key_of(sk);

	return health_by(&key);
}

static __always_inline enum tcp_failure failure_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return FAILURE_REFUSED;
	case ETIMEDOUT:
		return FAILURE_TIMED_OUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return FAILURE_UNREACHABLE;
	case ECONNRESET:
		return FAILURE_RESET;
	case 0:
		return FAILURE_LOCAL;
	default:
		return FAILURE_OTHER;
	}
}

static __always_inline void count_connect(struct tcp_health *health, __u64 ns)
{
	const __u64 bounds[] = CONNECT_BOUNDS;
	__u32 bucket = 0;

#pragma unroll
	for (int index = 0; index < CONNECT_BUCKETS - 1; index++)
		bucket += ns > bounds[index];
	health->connect_ns += ns;
	if (bucket < CONNECT_BUCKETS)
		health->connect_buckets[bucket]++;
}

static __always_inline void count_lifetime(struct tcp_health *health, __u64 ns)
{
	const __u64 bounds[] = LIFETIME_BOUNDS;
	__u32 bucket = 0;

#pragma unroll
	for (int index = 0; index < LIFETIME_BUCKETS - 1; index++)
		bucket += ns > bounds[index];
	health->lifetime_ns += ns;
	if (bucket < LIFETIME_BUCKETS)
		health->lifetime_buckets[bucket]++;
}

static __always_inline void remember(struct sock *sk, bool established)
{
	__u64 address = (__u64)sk;
	struct tcp_connection connection = {
		.owner = key_of(sk), .since_ns = bpf_ktime_get_ns(), .established = established
	};

	bpf_map_update_elem(&connections, &address, &connection, BPF_ANY);
}

static __always_inline void on_connected(struct sock *sk)
{
	struct tcp_health *health = health_of(sk);
	__u64 address = (__u64)sk;
	struct tcp_connection *connection = bpf_map_lookup_elem(&connections, &address);
	__u64 now = bpf_ktime_get_ns();

	if (health)
		health->connects++;
	if (!connection)
		return; /* it began before us, or was forgotten */
	if (health)
		count_connect(health, now - connection->since_ns);
	connection->since_ns = now;
	connection->established = true;
}

static __always_inline void on_accepted(struct sock *sk)
{
	struct tcp_health *health = health_of(sk);

	if (health)
		health->accepts++;
	remember(sk, true);
}

static __always_inline void on_closed(struct sock *sk, int before)
{
	struct tcp_health *health = health_of(sk);
	__u64 address = (__u64)sk;

	if (before == TCP_SYN_SENT) {
		enum tcp_failure failure = failure_of(sk->sk_err);

		if (health && failure < FAILURES)
			health->failures[failure]++;
	} else if (health) {
		struct tcp_connection *connection = bpf_map_lookup_elem(&connections, &address);
		struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

		if (connection && connection->established)
			count_lifetime(health, bpf_ktime_get_ns() - connection->since_ns);
		if (tcp) {
			health->bytes_received += tcp->bytes_received;
			health->bytes_acked += tcp->bytes_acked;
		}
	}
	bpf_map_delete_elem(&connections, &address);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int before, int after)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (after == TCP_SYN_SENT)
		remember(sk, false);
	else if (after == TCP_ESTABLISHED && before == TCP_SYN_SENT)
		on_connected(sk);
	else if (after == TCP_ESTABLISHED && before == TCP_SYN_RECV)
		on_accepted(sk);
	else if (after == TCP_CLOSE && before != TCP_LISTEN)
		on_closed(sk, before);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int on_retransmit(__u64 *arguments)
{
	struct sock *sk = (struct sock *)arguments[0];

	/* Newer kernels report failed attempts too, with an error as third argument. */
	if (bpf_core_field_exists(struct trace_event_raw_tcp_retransmit_skb, err) && (int)arguments[2] != 0)
		return 0;
	struct sk_buff *skb = (struct sk_buff *)arguments[1];
	struct tcp_skb_cb *control = (struct tcp_skb_cb *)skb->cb;
	struct tcp_health *health = health_of(sk);

	if (health)
		health->retransmits += BPF_CORE_READ(control, tcp_gso_segs);
	return 0;
}

/* A listener answers a connection that is being opened once more. */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(on_synack_retransmit, struct sock *sk)
{
	struct tcp_health *health = health_of(sk);

	if (health)
		health->retransmits++;
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_reset_received, struct sock *sk)
{
	struct tcp_health *health = health_of(sk);

	if (health)
		health->resets_received++;
	return 0;
}

/* Without a socket (nobody listens there) or with the remains of one, the namespace is all that is known. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_reset_sent, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_health_key key = {};

	if (sk) {
		__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

		key.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		if (state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV)
			key.cgroup_id = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	}
	if (!key.netns && skb)
		key.netns = BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
	if (!key.netns)
		return 0;
	struct tcp_health *health = health_by(&key);

	if (health)
		health->resets_sent++;
	return 0;
}
