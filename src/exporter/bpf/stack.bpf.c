// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes the time of packets of chosen network namespaces from point to point of the network stack, on BTF tracepoints,
 * into histograms; counts what is dropped, and what goes through each interface.
 *
 * A packet is known by the address of its sk_buff. When it passed a point is noted in a table without locks: a word
 * has the time, the point and some bits of the address, so that a note is never half another packet's. Two packets can
 * meet in a place; the first then loses its time, which is no harm to a histogram.
 */
#include "stack.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack_filter);
} filter SEC(".maps");

/* A namespace is chosen when it is in here. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct stack_times);
} times SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct stack_interface_key);
	__type(value, struct stack_interface);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct stack_drop_key);
	__type(value, __u64);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack_losses);
} losses SEC(".maps");

/* When a packet was last noted, and when it came in. */
struct note {
	__u64 last;
	__u64 first;
};

enum { NOTE_BITS = 14, NOTES = 1 << NOTE_BITS };

struct notes {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NOTES);
	__type(key, __u32);
	__type(value, struct note);
};
struct notes received SEC(".maps");
struct notes sent SEC(".maps");

/* Where a packet was noted; 0 is no note. */
enum point { HANDED_OVER = 1, TAKEN_UP = 2, IN_SOCKET = 3 };

/* From the top: 2 bits of the point, 14 of the address, 48 of the time, which are 78 hours. */
enum { TIME_BITS = 48 };
#define TIME_MASK ((1ULL << TIME_BITS) - 1)
#define NO_TIME (~0ULL)

static __always_inline bool is_maybe_chosen(__u32 netns)
{
	__u32 zero = 0;
	struct stack_filter *chosen = bpf_map_lookup_elem(&filter, &zero);

	return chosen && (chosen->bits[(netns >> 6) & 63] >> (netns & 63)) & 1;
}

static __always_inline struct stack_times *times_of(__u32 netns)
{
	return is_maybe_chosen(netns) ? bpf_map_lookup_elem(&times, &netns) : 0;
}

static __always_inline void count(struct stack_times *of, enum stack_stage stage, __u64 ns)
{
	__u64 rest = ns >> STACK_FIRST_BOUND;
	__u32 bucket = 0;

	if (rest >> 16) {
		bucket += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		bucket += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		bucket += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		bucket += 2;
		rest >>= 2;
	}
	bucket += (rest >> 1) + (rest > 0);
	if (bucket >= STACK_BUCKETS)
		bucket = STACK_BUCKETS - 1;
	of->sum_ns[stage] += ns;
	of->buckets[stage][bucket]++;
}

/* The verifier lets nobody calculate with an address, but tells the distance of two: one of them never changes. */
static __always_inline __u64 hash_of(const void *skb)
{
	__u32 zero = 0;
	void *fixed = bpf_map_lookup_elem(&filter, &zero);
	__u64 distance = (__u64)skb;

	if (!fixed)
		return 0;
	asm volatile("%0 -= %1" : "+r"(distance) : "r"(fixed));
	return distance * 0x9e3779b97f4a7c15ULL;
}

static __always_inline struct note *note_of(void *table, __u64 hash)
{
	__u32 place = hash >> (64 - NOTE_BITS);

	return bpf_map_lookup_elem(table, &place);
}

static __always_inline __u64 mark_of(__u64 hash, enum point point)
{
	return (__u64)point << 62 | ((hash >> 34) & 0x3fff) << TIME_BITS;
}

/* How long ago the word was written, when it has this mark. */
static __always_inline __u64 since(__u64 word, __u64 mark, __u64 now)
{
	return (word & ~TIME_MASK) == mark ? (now - word) & TIME_MASK : NO_TIME;
}

static __always_inline struct stack_interface *interface_of(struct net_device *dev, __u32 netns)
{
	struct stack_interface_key key = { .netns = netns, .ifindex = dev->ifindex };
	struct stack_interface *of = bpf_map_lookup_elem(&interfaces, &key);
	__u32 zero = 0;

	if (of)
		return of;
	struct stack_interface fresh = {};

	bpf_probe_read_kernel_str(fresh.name, sizeof(fresh.name), dev->name);
	bpf_map_update_elem(&interfaces, &key, &fresh, BPF_NOEXIST);
	of = bpf_map_lookup_elem(&interfaces, &key);
	if (!of) {
		struct stack_losses *lost = bpf_map_lookup_elem(&losses, &zero);

		if (lost)
			lost->interfaces++;
	}
	return of;
}

/* A device's driver, a virtual one for the most part, queues the packet for the network stack. */
SEC("tp_btf/netif_rx")
int BPF_PROG(on_handed_over, struct sk_buff *skb)
{
	if (!times_of(skb->dev->nd_net.net->ns.inum))
		return 0;
	__u64 hash = hash_of(skb);
	struct note *note = note_of(&received, hash);

	if (note)
		note->first = note->last = mark_of(hash, HANDED_OVER) | (bpf_ktime_get_ns() & TIME_MASK);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(on_taken_up, struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;
	__u32 netns = dev->nd_net.net->ns.inum;
	struct stack_times *of = times_of(netns);

	if (!of)
		return 0;
	struct stack_interface *interface = interface_of(dev, netns);

	if (interface) {
		interface->receive_packets++;
		interface->receive_bytes += skb->len + dev->hard_header_len; /* taken off already */
	}
	__u64 hash = hash_of(skb), now = bpf_ktime_get_ns();
	struct note *note = note_of(&received, hash);

	if (!note)
		return 0;
	__u64 waited = since(note->last, mark_of(hash, HANDED_OVER), now);
	__u64 word = mark_of(hash, TAKEN_UP) | (now & TIME_MASK);

	if (waited != NO_TIME)
		count(of, RECEIVE_QUEUE, waited);
	else
		note->first = word; /* its device does not queue */
	note->last = word;
	return 0;
}

/* TCP has a packet of an established connection. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(on_tcp, struct sock *sk, struct sk_buff *skb)
{
	struct stack_times *of = times_of(sk->__sk_common.skc_net.net->ns.inum);

	if (!of)
		return 0;
	__u64 hash = hash_of(skb), now = bpf_ktime_get_ns();
	struct note *note = note_of(&received, hash);

	if (!note)
		return 0;
	__u64 took = since(note->last, mark_of(hash, TAKEN_UP), now);

	if (took == NO_TIME)
		return 0;
	count(of, RECEIVE_PROTOCOL, took);
	note->last = mark_of(hash, IN_SOCKET) | (now & TIME_MASK);
	return 0;
}

/* The application reads. A packet that TCP appended to an earlier one never comes here; the earlier one does, once. */
SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(on_read, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	struct stack_times *of = sk ? times_of(sk->__sk_common.skc_net.net->ns.inum) : 0;

	if (!of)
		return 0;
	__u64 hash = hash_of(skb), now = bpf_ktime_get_ns();
	struct note *note = note_of(&received, hash);

	if (!note)
		return 0;
	__u64 waited = since(note->last, mark_of(hash, IN_SOCKET), now);

	if (waited == NO_TIME)
		return 0;
	count(of, RECEIVE_SOCKET, waited);
	count(of, RECEIVE_TOTAL, (now - note->first) & TIME_MASK);
	note->last = 0;
	return 0;
}

/* TCP stamps what it sends with the time of its decision, on the clock that we read. */
static __always_inline __u64 decided_at(struct sk_buff *skb)
{
	struct sock *sk = skb->sk;

	if (!sk || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	switch (sk->__sk_common.skc_state) {
	case TCP_TIME_WAIT:
	case TCP_NEW_SYN_RECV:
	case TCP_LISTEN:
	case TCP_CLOSE:
		return 0; /* the answer is made without a connection */
	}
	return skb->skb_mstamp_ns;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(on_queued, struct sk_buff *skb)
{
	struct stack_times *of = times_of(skb->dev->nd_net.net->ns.inum);

	if (!of)
		return 0;
	__u64 hash = hash_of(skb), now = bpf_ktime_get_ns(), decided = decided_at(skb);
	struct note *note = note_of(&sent, hash);

	if (decided && decided <= now)
		count(of, SEND_PROTOCOL, now - decided);
	if (note)
		note->last = mark_of(hash, HANDED_OVER) | (now & TIME_MASK);
	return 0;
}

/* The packet may be gone: only its address is used. */
SEC("tp_btf/net_dev_xmit")
int BPF_PROG(on_sent, struct sk_buff *skb, int outcome, struct net_device *dev, unsigned int length)
{
	__u32 netns = dev->nd_net.net->ns.inum;
	struct stack_times *of = times_of(netns);

	if (!of || outcome)
		return 0;
	struct stack_interface *interface = interface_of(dev, netns);

	if (interface) {
		interface->transmit_packets++;
		interface->transmit_bytes += length;
	}
	__u64 hash = hash_of(skb);
	struct note *note = note_of(&sent, hash);

	if (!note)
		return 0;
	__u64 waited = since(note->last, mark_of(hash, HANDED_OVER), bpf_ktime_get_ns());

	if (waited == NO_TIME)
		return 0;
	count(of, SEND_QUEUE, waited);
	note->last = 0;
	return 0;
}

/* Of include/net/dropreason-core.h; before 6.2 this value was a reason. */
enum skb_drop_reason { SKB_NOT_DROPPED_YET = 0, SKB_CONSUMED = 1 };

static __always_inline bool is_drop(__u32 reason)
{
	if (reason == SKB_CONSUMED)
		return !bpf_core_enum_value_exists(enum skb_drop_reason, SKB_CONSUMED);
	return reason != SKB_NOT_DROPPED_YET;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(on_dropped, struct sk_buff *skb, void *location, __u32 reason)
{
	struct sock *sk = skb->sk;
	struct stack_drop_key key = { .reason = reason };

	/* What waits in a socket has other things where its device was. */
	key.netns = sk ? sk->__sk_common.skc_net.net->ns.inum : skb->dev->nd_net.net->ns.inum;
	if (!is_drop(reason) || !times_of(key.netns))
		return 0;
	__u64 *known = bpf_map_lookup_elem(&drops, &key);
	__u64 none = 0;
	__u32 zero = 0;

	if (!known) {
		bpf_map_update_elem(&drops, &key, &none, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&drops, &key);
	}
	if (known) {
		__sync_fetch_and_add(known, 1);
		return 0;
	}
	struct stack_losses *lost = bpf_map_lookup_elem(&losses, &zero);

	if (lost)
		lost->drops++;
	return 0;
}
