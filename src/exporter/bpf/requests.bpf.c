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

char LICENSE[] SEC("license") = "GPL";

/* Of include/uapi/linux/bpf.h. */
enum { BPF_MAP_TYPE_SK_STORAGE = 24, BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_SK_STORAGE_GET_F_CREATE = 1, BPF_RB_NO_WAKEUP = 1, BPF_RB_AVAIL_DATA = 0, BPF_RB_RING_SIZE = 1 };
/* Of include/linux/socket.h. */
enum { MSG_PEEK = 2 };

/* Bytes of an event that are captured at most; a power of two. */
#define CAPTURE 4096
/* Events of one system call on HTTP/2, where each frame counts: headers and trailers may be anywhere. */
#define PARTS 4
/* Bytes of a message that are captured at most, over all its system calls. */
#define MESSAGE_BUDGET 8192
/* Captured in any case, to see whether a message begins. */
#define GLANCE 16
/* Vectors that are looked at. */
#define VECTORS 8
/* Events of a socket that are captured whole while it is not known what it speaks. */
#define UNDECIDED_EVENTS 64

#if defined(__TARGET_ARCH_x86)
enum {
	NR_READ = 0, NR_WRITE = 1, NR_READV = 19, NR_WRITEV = 20, NR_SENDFILE = 40, NR_SENDTO = 44, NR_RECVFROM = 45,
	NR_SENDMSG = 46, NR_RECVMSG = 47, NR_SPLICE = 275, NR_RECVMMSG = 299, NR_SENDMMSG = 307,
};
struct pt_regs {
	unsigned long si, dx, orig_ax;
} __attribute__((preserve_access_index));
#define SYSCALL_NR(regs) ((long)(regs)->orig_ax)
#define SYSCALL_ARG2(regs) ((regs)->si)
#define SYSCALL_ARG3(regs) ((regs)->dx)
#elif defined(__TARGET_ARCH_arm64)
enum {
	NR_READ = 63, NR_WRITE = 64, NR_READV = 65, NR_WRITEV = 66, NR_SENDFILE = 71, NR_SPLICE = 76, NR_SENDTO = 206,
	NR_RECVFROM = 207, NR_SENDMSG = 211, NR_RECVMSG = 212, NR_RECVMMSG = 243, NR_SENDMMSG = 269,
};
struct pt_regs {
	__u64 regs[31];
	__s32 syscallno;
} __attribute__((preserve_access_index));
#define SYSCALL_NR(regs) ((long)(regs)->syscallno)
#define SYSCALL_ARG2(regs) ((regs)->regs[1])
#define SYSCALL_ARG3(regs) ((regs)->regs[2])
#endif

/* Of user space: struct iovec, and the part of struct user_msghdr that is used. */
struct user_vector {
	__u64 base;
	__u64 length;
};
struct user_message {
	__u64 name;
	__u64 name_length;
	__u64 vectors;
	__u64 vector_count;
};

/* Cgroups whose sockets are watched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} chosen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct request_settings);
} settings SEC(".maps");

enum protocol { PROTOCOL_UNKNOWN, PROTOCOL_HTTP1, PROTOCOL_HTTP2 };

/* A socket that is watched; ends with it. */
struct watched {
	__u64 cookie;
	__u64 offsets[2];
	__u32 budgets[2];
	__u32 skipped;
	__u32 events;
	__u8 protocol;
	__u8 from_start;
	__u8 requests; /* the direction in which exchanges begin */
	__u8 last;
	__u8 leaving_out;
	__u8 aligned[2]; /* what was left out since the last event */
	__u8 frames; /* events that began as HTTP/2 frames do */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct watched);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct request_losses);
} losses SEC(".maps");

/* An event is put together here: a program never interrupts itself on its processor. Twice the size, for the verifier. */
struct draft {
	struct request_event event;
	__u8 data[2 * CAPTURE];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3); /* one for each program */
	__type(key, __u32);
	__type(value, struct draft);
} drafts SEC(".maps");

/* The settings, unless the filter says that the cgroup is not chosen: far cheaper than the hash map. */
static __always_inline struct request_settings *settings_of(__u64 cgroup)
{
	__u32 zero = 0;
	struct request_settings *set = bpf_map_lookup_elem(&settings, &zero);

	return set && (set->filter[(cgroup >> 6) & 63] >> (cgroup & 63)) & 1 ? set : 0;
}

static __always_inline struct request_losses *losses_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&losses, &zero);
}

static __always_inline bool is_capital(__u8 octet)
{
	return octet >= 'A' && octet <= 'Z';
}

/* A method or HTTP/, as far as it goes. */
static __always_inline bool begins_head(const __u8 *start, __u32 length)
{
	return is_capital(start[0]) && (length < 2 || is_capital(start[1])) && (length < 3 || is_capital(start[2]));
}

/* RFC 9113 section 4.1: a length of at most 16384, a known type, known flags, a stream below 2^24. */
static __always_inline bool begins_frame(const __u8 *start, __u32 length)
{
	return length >= 8 && start[0] == 0 && start[1] <= 0x40 && start[3] <= 9 && (start[4] & ~0x2d) == 0 && start[5] == 0;
}

/* Whether this exchange is left out because user space does not keep up, or shall not; asked for where one begins. */
static __always_inline bool too_busy(__u32 mask)
{
	__u64 size = bpf_ringbuf_query(&events, BPF_RB_RING_SIZE);
	__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);

	if (waiting >= size / 2)
		mask |= waiting < size / 4 * 3 ? 3 : 31;
	return mask && (bpf_get_prandom_u32() & mask);
}

/* Where the bytes of the current system call are: one place, or vectors. */
struct place {
	__u64 at;
	__u64 vectors;
	bool known;
	bool file; /* of a file, not of the process */
};

/* Copies what the vectors hold behind `skip` bytes, at most `wanted` bytes; gives how many. */
static __always_inline __u64 copy_vectors(struct draft *draft, const struct place *place, __u64 skip, __u64 wanted)
{
	__u64 copied = 0;

#pragma unroll
	for (int index = 0; index < VECTORS; index++) {
		struct user_vector vector;
		__u64 length, at = copied;

		if (index >= place->vectors || copied >= wanted || copied >= CAPTURE)
			break;
		if (bpf_probe_read_user(&vector, sizeof vector, (void *)(place->at + index * sizeof vector)))
			break;
		length = vector.length;
		if (skip >= length) {
			skip -= length;
			continue;
		}
		length -= skip;
		if (length > wanted - copied)
			length = wanted - copied;
		if (length > CAPTURE)
			break;
		/* It is less already; the verifier does not follow that through the compiler's copies. */
		asm volatile("%0 &= 4095" : "+r"(at));
		if (bpf_probe_read_user(draft->data + at, length, (void *)(vector.base + skip)))
			break;
		copied += length;
		skip = 0;
	}
	return copied;
}

static __always_inline struct place find_place(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct place place = { .at = SYSCALL_ARG2(regs), .known = true };
	struct user_message message;

	switch (SYSCALL_NR(regs)) {
	case NR_READ:
	case NR_WRITE:
	case NR_SENDTO:
	case NR_RECVFROM:
		break;
	case NR_READV:
	case NR_WRITEV:
		place.vectors = SYSCALL_ARG3(regs);
		break;
	case NR_SENDMMSG:
	case NR_RECVMMSG:
		/* Which of several messages this is cannot be known. */
		if (SYSCALL_ARG3(regs) != 1) {
			place.known = false;
			break;
		}
		/* fall through */
	case NR_SENDMSG:
	case NR_RECVMSG:
		if (bpf_probe_read_user(&message, sizeof message, (void *)place.at)) {
			place.known = false;
			break;
		}
		place.at = message.vectors;
		place.vectors = message.vector_count;
		break;
	case NR_SENDFILE:
	case NR_SPLICE:
		place.file = true;
		place.known = false;
		break;
	default:
		place.known = false;
	}
	return place;
}

/* As copy_vectors, also where there is one place only. */
static __always_inline __u64 copy(struct draft *draft, const struct place *place, __u64 skip, __u64 wanted)
{
	if (place->vectors)
		return copy_vectors(draft, place, skip, wanted);
	asm volatile("if %0 <= 4096 goto +1; %0 = 4096" : "+r"(wanted));
	return bpf_probe_read_user(draft->data, wanted, (void *)(place->at + skip)) ? 0 : wanted;
}

static __always_inline void emit(struct draft *draft, __u64 captured)
{
	asm volatile("if %0 <= 4096 goto +1; %0 = 4096" : "+r"(captured));
	draft->event.captured = captured;
	if (bpf_ringbuf_output(&events, draft, sizeof draft->event + captured, BPF_RB_NO_WAKEUP)) {
		struct request_losses *loss = losses_here();

		if (loss)
			loss->events++;
	}
}

static __always_inline void describe(struct request_event *event, struct sock *sk, struct watched *watched, __u64 cgroup)
{
	event->socket = watched->cookie;
	event->at_ns = bpf_ktime_get_ns();
	event->cgroup_id = cgroup;
	event->family = sk->__sk_common.skc_family;
	event->local_port = sk->__sk_common.skc_num;
	event->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	event->flags = watched->from_start ? EVENT_FROM_START : 0;
	event->skipped = 0;
	if (event->family == AF_INET6)
		__builtin_memcpy(event->remote_address, &sk->__sk_common.skc_v6_daddr, 16);
	else
		__builtin_memcpy(event->remote_address, &sk->__sk_common.skc_daddr, 4);
}

static __always_inline struct watched *watch(struct sock *sk)
{
	struct watched *watched = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!watched) {
		struct request_losses *loss = losses_here();

		if (loss)
			loss->sockets++;
		return 0;
	}
	if (!watched->cookie)
		watched->cookie = bpf_get_socket_cookie(sk);
	return watched;
}

static __always_inline __u64 cgroup_of(struct sock *sk)
{
	return sk->sk_cgrp_data.cgroup->kn->id;
}

/* How many bytes to capture of a movement that begins so. */
static __always_inline __u32 wanted_of(struct watched *watched, const __u8 *start, __u32 length, __u32 direction)
{
	__u32 wanted = length < CAPTURE ? length : CAPTURE;
	__u32 budget;

	if (watched->protocol == PROTOCOL_HTTP2)
		return wanted;
	if (begins_head(start, length)) {
		watched->protocol = start[0] == 'P' && start[1] == 'R' && start[2] == 'I' ? PROTOCOL_HTTP2 : PROTOCOL_HTTP1;
		watched->budgets[direction & 1] = MESSAGE_BUDGET;
		watched->requests = start[0] == 'H' && start[1] == 'T' ? !direction : direction;
	} else if (watched->protocol == PROTOCOL_UNKNOWN) {
		if (begins_frame(start, length)) {
			if (++watched->frames >= 4)
				watched->protocol = PROTOCOL_HTTP2;
			return wanted;
		}
		return watched->events <= UNDECIDED_EVENTS || length < GLANCE ? wanted : GLANCE;
	}
	budget = watched->budgets[direction & 1];
	if (wanted > budget)
		wanted = budget < GLANCE && length >= GLANCE ? GLANCE : budget < GLANCE ? length : budget;
	watched->budgets[direction & 1] = budget > wanted ? budget - wanted : 0;
	return wanted;
}

static __always_inline int moved(struct sock *sk, int moved_length, int flags, __u32 direction)
{
	__u32 length = moved_length;
	__u64 cgroup, offset, wanted, copied = 0;

	if (moved_length <= 0 || sk->sk_protocol != IPPROTO_TCP || (direction == EVENT_RECEIVED && (flags & MSG_PEEK)))
		return 0;
	cgroup = cgroup_of(sk);
	struct request_settings *set = settings_of(cgroup);

	if (!set || !bpf_map_lookup_elem(&chosen, &cgroup))
		return 0;
	struct watched *watched = watch(sk);

	if (!watched)
		return 0;
	offset = watched->offsets[direction & 1];
	watched->offsets[direction & 1] = offset + length;
	watched->events++;
	if (watched->protocol == PROTOCOL_HTTP1 && direction == watched->requests && watched->last != direction) {
		watched->leaving_out = too_busy(set->sample_mask);
		if (watched->leaving_out) {
			struct request_losses *loss = losses_here();

			watched->skipped++;
			watched->aligned[0] = watched->aligned[1] = 1;
			if (loss)
				loss->exchanges++;
		}
	}
	watched->last = direction;
	if (watched->leaving_out)
		return 0;

	struct draft *draft = bpf_map_lookup_elem(&drafts, &direction);

	if (!draft)
		return 0;
	struct request_event *event = &draft->event;
	struct place place = find_place();

	describe(event, sk, watched, cgroup);
	event->kind = direction;
	event->offset = offset;
	if (watched->aligned[direction & 1]) {
		event->flags |= EVENT_ALIGNED;
		watched->aligned[direction & 1] = 0;
	}
	if (direction == watched->requests) {
		event->skipped = watched->skipped;
		watched->skipped = 0;
	}
	if (place.known) {
		copy(draft, &place, 0, length < GLANCE ? length : GLANCE);
		wanted = wanted_of(watched, draft->data, length, direction);
		copied = copy(draft, &place, 0, wanted);
	}
	if (!copied && !place.file)
		event->flags |= EVENT_UNREADABLE;
	bool more = watched->protocol == PROTOCOL_HTTP2 && length > CAPTURE && copied == CAPTURE;

	event->length = more ? CAPTURE : length;
	emit(draft, copied);
	if (!more)
		return 0;
	event->flags |= EVENT_CONTINUED;
	event->flags &= ~EVENT_ALIGNED;
	event->skipped = 0;
#pragma unroll
	for (int part = 1; part < PARTS; part++) {
		__u64 at = part * CAPTURE, left = length - at;

		if (at >= length)
			break;
		event->offset = offset + at;
		event->length = left < CAPTURE || part == PARTS - 1 ? left : CAPTURE;
		emit(draft, copy(draft, &place, at, left < CAPTURE ? left : CAPTURE));
	}
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
	struct watched *watched;
	__u64 cgroup;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (after == TCP_ESTABLISHED) {
		cgroup = cgroup_of(sk);
		if (!bpf_map_lookup_elem(&chosen, &cgroup))
			return 0;
		watched = watch(sk);
		if (watched)
			watched->from_start = 1;
		return 0;
	}
	if (after != TCP_CLOSE)
		return 0;
	watched = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!watched || !watched->events)
		return 0;
	struct draft *draft = bpf_map_lookup_elem(&drafts, &draft_index);

	if (!draft)
		return 0;
	describe(&draft->event, sk, watched, cgroup_of(sk));
	draft->event.kind = EVENT_CLOSED;
	draft->event.length = 0;
	draft->event.offset = 0;
	watched->events = 0;
	emit(draft, 0);
	return 0;
}
