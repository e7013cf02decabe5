// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes the time of packets of chosen network namespaces from point to point of the network stack, on BTF tracepoints,
 * into histograms; counts what is dropped, and what goes through each interface. A packet is known by the address of its
 * sk_buff: stack-notes.h.
 */
#include "stack-notes.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* Since Linux 6.3. */
typedef void (*btf_trace_sk_data_ready)(void *data, const struct sock *sk);

/* A device's driver, a virtual one for the most part, queues the packet for the network stack. */
SEC("tp_btf/netif_rx")
int BPF_PROG(on_handed_over, struct sk_buff *skb)
{
	if (!times_of(skb->dev->nd_net.net->ns.inum))
		return 0;
	__u64 hash = hash_of(skb);
	struct note *note = note_of(&received, hash);

	if (note)
		note->first = note->last = word_of(mark_of(hash, HANDED_OVER), bpf_ktime_get_ns());
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
	__u64 word = word_of(mark_of(hash, TAKEN_UP), now);

	if (waited != NO_TIME)
		count(of, RECEIVE_QUEUE, waited);
	else
		note->first = word; /* its device does not queue */
	note->last = word;
	return 0;
}

/*
 * TCP has a packet of an established connection. While a process holds the socket packets wait in its backlog, and are
 * worked off by the process itself.
 */
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
	bool is_told = bpf_core_type_exists(btf_trace_sk_data_ready);

	if (took == NO_TIME)
		return 0;
	count(of, sk->sk_lock.owned ? RECEIVE_BACKLOG : RECEIVE_IP, took);
	note->last = word_of(mark_of(hash, is_told ? IN_TCP : READY), now);
	return 0;
}

/* TCP's last packet can be read. One that TCP appended to an earlier one never comes here. */
static __always_inline void tcp_is_ready(struct stack_times *of, struct note *note, __u64 hash, __u64 now)
{
	__u64 took = since(note->last, mark_of(hash, IN_TCP), now);

	if (took == NO_TIME)
		return;
	count(of, RECEIVE_TCP, took);
	note->last = word_of(mark_of(hash, READY), now);
}

/*
 * A datagram can be read. Nothing tells when that one is: but of each socket one is followed at a time, by how many are to
 * be read until then, itself included.
 */
static __always_inline void datagram_is_ready(struct stack_times *of, struct sock *sk, struct note *note, __u64 hash,
					      __u64 now)
{
	__u64 took = since(note->last, mark_of(hash, TAKEN_UP), now);
	__u64 waiting = sk->sk_receive_queue.qlen + BPF_CORE_READ((struct udp_sock *)sk, reader_queue.qlen);

	if (took == NO_TIME)
		return;
	count(of, RECEIVE_UDP, took);
	note->last = 0;
	__u64 of_socket = hash_of(sk), mark = mark_of(of_socket, READY);
	struct note *followed = note_of(&in_sockets, of_socket);

	if (!followed || waiting == 0 || waiting >= 1 << 16)
		return; /* 0: it has been read already */
	if (has_mark(followed->last, mark) && (followed->first >> TIME_BITS) < waiting)
		return;
	followed->first = waiting << TIME_BITS | (note->first & TIME_MASK);
	followed->last = word_of(mark, now);
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(on_ready, struct sock *sk)
{
	struct stack_times *of = times_of(sk->__sk_common.skc_net.net->ns.inum);

	if (!of)
		return 0;
	__u16 protocol = sk->sk_protocol;

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return 0;
	__u64 hash = hash_of(sk->sk_receive_queue.prev); /* which may be gone: only its address is used */
	struct note *note = note_of(&received, hash);

	if (!note)
		return 0;
	if (protocol == IPPROTO_TCP)
		tcp_is_ready(of, note, hash, bpf_ktime_get_ns());
	else
		datagram_is_ready(of, sk, note, hash, bpf_ktime_get_ns());
	return 0;
}

/* The application reads a packet of TCP: its first byte. Of datagrams only some come here. */
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
	__u64 waited = since(note->last, mark_of(hash, READY), now);

	if (waited != NO_TIME)
		count(of, RECEIVE_APPLICATION, waited);
	else if (!has_mark(note->last, mark_of(hash, IN_TCP)))
		return 0; /* else it waited for earlier bytes, and nobody was told of it alone */
	count(of, RECEIVE_TOTAL, (now - note->first) & TIME_MASK);
	note->last = 0;
	return 0;
}

/* The application has read a datagram. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_datagram_read, struct sock *sk, int length, int flags)
{
	struct stack_times *of = times_of(sk->__sk_common.skc_net.net->ns.inum);

	if (!of || length < 0 || flags & MSG_PEEK || sk->sk_protocol != IPPROTO_UDP)
		return 0;
	__u64 hash = hash_of(sk), now = bpf_ktime_get_ns();
	struct note *note = note_of(&in_sockets, hash);

	if (!note)
		return 0;
	__u64 waited = since(note->last, mark_of(hash, READY), now);

	if (waited == NO_TIME)
		return 0;
	note->first -= 1ULL << TIME_BITS;
	if (note->first >> TIME_BITS)
		return 0;
	count(of, RECEIVE_APPLICATION, waited);
	count(of, RECEIVE_TOTAL, (now - note->first) & TIME_MASK);
	note->last = 0;
	return 0;
}

/*
 * The application's call has ended. TCP has sent all bytes meanwhile, or the last one waits: in a connection one such byte
 * is noted at a time.
 */
SEC("tp_btf/sock_send_length")
int BPF_PROG(on_written, struct sock *sk, int length)
{
	struct stack_times *of = times_of(sk->__sk_common.skc_net.net->ns.inum);

	if (!of || length <= 0 || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	if (!tcp)
		return 0;
	__u32 end = tcp->write_seq, acknowledged = tcp->snd_una;

	if (tcp->snd_nxt == end) {
		count(of, SEND_BUFFER, 0);
		return 0;
	}
	__u64 hash = hash_of(sk), mark = mark_of(hash, WAITS_TO_BE_SENT);
	struct note *note = note_of(&in_sockets, hash);

	if (!note)
		return 0;
	__u32 noted = note->first;

	if (has_mark(note->last, mark) && (__s32)(noted - acknowledged) >= 0 && (__s32)(end - noted) > 0)
		return 0;
	note->first = end - 1;
	note->last = word_of(mark, bpf_ktime_get_ns());
	return 0;
}

/* The connection that the packet is of, as far as it stands. */
static __always_inline struct sock *connection_of(struct sk_buff *skb)
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
	return sk;
}

/* Whether TCP's byte of this number is in the packet. */
static __always_inline bool has_byte(struct sk_buff *skb, __u32 number)
{
	unsigned char *header = skb->head + skb->transport_header;
	struct {
		__be32 ports, seq, ack_seq;
		__u8 length_in_words_and_more, flags;
	} tcp = {};

	bpf_probe_read_kernel(&tcp, sizeof(tcp), header);
	__u32 before = header - skb->data + (tcp.length_in_words_and_more >> 4) * 4;

	return number - bpf_ntohl(tcp.seq) < skb->len - before;
}

/* What waited since the application's call ended goes at `decided`. */
static __always_inline void end_wait(struct stack_times *of, struct sock *sk, struct sk_buff *skb, __u64 decided)
{
	__u64 hash = hash_of(sk), mark = mark_of(hash, WAITS_TO_BE_SENT);
	struct note *note = note_of(&in_sockets, hash);

	if (!note || !has_mark(note->last, mark) || !has_byte(skb, note->first))
		return;
	__u64 waited = since(note->last, mark, decided);

	count(of, SEND_BUFFER, waited > TIME_MASK / 2 ? 0 : waited); /* it went while the end of the call was noted */
	note->last = 0;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(on_queued, struct sk_buff *skb)
{
	struct stack_times *of = times_of(skb->dev->nd_net.net->ns.inum);

	if (!of)
		return 0;
	__u64 hash = hash_of(skb), now = bpf_ktime_get_ns();
	struct note *note = note_of(&sent, hash);
	struct sock *sk = connection_of(skb);
	__u64 decided = sk ? skb->skb_mstamp_ns : 0; /* on the clock that we read */

	if (decided && decided <= now) {
		count(of, SEND_IP, now - decided);
		end_wait(of, sk, skb, decided);
	}
	if (note)
		note->last = word_of(mark_of(hash, HANDED_OVER), now);
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
