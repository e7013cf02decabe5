/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the bytes of a system call are in the memory of the process, and how they are copied. */
#pragma once
#include "requests-maps.h"
#include "requests-protocol.h"

/* Vectors that are looked at. */
#define VECTORS 8

#if defined(__TARGET_ARCH_x86)
enum {
	NR_READ = 0, NR_WRITE = 1, NR_READV = 19, NR_WRITEV = 20, NR_SENDFILE = 40, NR_SENDTO = 44, NR_RECVFROM = 45,
	NR_SENDMSG = 46, NR_RECVMSG = 47, NR_SPLICE = 275, NR_RECVMMSG = 299, NR_SENDMMSG = 307,
};
struct pt_regs {
	unsigned long di, si, dx, cx, r10, ax, sp, orig_ax, cs;
} __attribute__((preserve_access_index));
#define SYSCALL_NR(regs) ((long)(regs)->orig_ax)
#define SYSCALL_ARG1(regs) ((regs)->di)
#define SYSCALL_ARG2(regs) ((regs)->si)
#define SYSCALL_ARG3(regs) ((regs)->dx)
#define SYSCALL_ARG4(regs) ((regs)->r10)
/* __USER_CS: numbers of system calls are other ones in a process of 32 bits. */
#define IS_NATIVE(regs) ((regs)->cs == 0x33)
#define ARG1(regs) ((regs)->di)
#define ARG2(regs) ((regs)->si)
#define ARG4(regs) ((regs)->cx)
#define RESULT(regs) ((regs)->ax)
#define STACK(regs) ((regs)->sp)
#elif defined(__TARGET_ARCH_arm64)
enum {
	NR_READ = 63, NR_WRITE = 64, NR_READV = 65, NR_WRITEV = 66, NR_SENDFILE = 71, NR_SPLICE = 76, NR_SENDTO = 206,
	NR_RECVFROM = 207, NR_SENDMSG = 211, NR_RECVMSG = 212, NR_RECVMMSG = 243, NR_SENDMMSG = 269,
};
struct pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pstate;
	__u64 orig_x0;
	__s32 syscallno;
} __attribute__((preserve_access_index));
#define SYSCALL_NR(regs) ((long)(regs)->syscallno)
/* The result is in its place. */
#define SYSCALL_ARG1(regs) ((regs)->orig_x0)
#define SYSCALL_ARG2(regs) ((regs)->regs[1])
#define SYSCALL_ARG3(regs) ((regs)->regs[2])
#define SYSCALL_ARG4(regs) ((regs)->regs[3])
/* PSR_MODE32_BIT: numbers of system calls are other ones in a process of 32 bits. */
#define IS_NATIVE(regs) (!((regs)->pstate & 0x10))
#define ARG1(regs) ((regs)->regs[0])
#define ARG2(regs) ((regs)->regs[1])
#define ARG4(regs) ((regs)->regs[3])
#define RESULT(regs) ((regs)->regs[0])
#define STACK(regs) ((regs)->sp)
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

/* Where the bytes of the current system call are: one place, or vectors. */
struct place {
	__u64 at;
	__u64 vectors;
	bool known;
	bool file; /* of a file, not of the process */
	bool http1; /* the connection is known to speak HTTP/1 */
};

/* `regs`: with which the current task entered the kernel. */
static __always_inline struct place find_place(struct pt_regs *regs)
{
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

/* Whether `length` bytes, of `most`, are the head of an HTTP/1 message, and nothing but that. */
static __always_inline bool is_head(const __u8 *data, __u64 length, __u64 most)
{
	__u64 end = length - 4;

	if (length < GLANCE || !begins_head(data, length))
		return false;
	BOUND(end, most - 4);
	return __builtin_memcmp(data + end, "\r\n\r\n", 4) == 0;
}

/* Copies what the vectors hold behind `skip` bytes, at most `wanted` bytes; gives how many. Reading costs by the call: they are
   read all at once, and a body in a vector of its own is not read. One in chunks comes in more vectors than one, or in the head's. */
static __always_inline __u64 copy_vectors(struct draft *draft, const struct place *place, __u64 skip, __u64 wanted)
{
	__u64 copied = 0, count = place->vectors < VECTORS ? place->vectors : VECTORS;
	struct user_vector vectors[VECTORS];
	__u64 bytes = count * sizeof *vectors;

	BOUND(bytes, sizeof vectors);
	if (bpf_probe_read_user(vectors, bytes, (void *)place->at))
		return 0;
#pragma unroll
	for (int index = 0; index < VECTORS; index++) {
		__u64 length, at = copied;

		if (index >= count || copied >= wanted || copied >= CAPTURE)
			break;
		length = vectors[index].length;
		if (skip >= length) {
			skip -= length;
			continue;
		}
		length -= skip;
		if (length > wanted - copied)
			length = wanted - copied;
		BOUND(length, CAPTURE);
		asm volatile("%0 &= 4095" : "+r"(at));
		if (bpf_probe_read_user(draft->data + at, length, (void *)(vectors[index].base + skip)))
			break;
		copied += length;
		skip = 0;
		if (index == 0 && count == 2 && place->http1 && is_head(draft->data, copied, CAPTURE))
			break;
	}
	return copied;
}

/* As copy_vectors, also where there is one place only. */
static __always_inline __u64 copy(struct draft *draft, const struct place *place, __u64 skip, __u64 wanted)
{
	if (place->vectors)
		return copy_vectors(draft, place, skip, wanted);
	BOUND(wanted, CAPTURE);
	return bpf_probe_read_user(draft->data, wanted, (void *)(place->at + skip)) ? 0 : wanted;
}

/* Bytes of a message that is recorded without a draft, at most. */
#define SHORT 256

struct piece {
	__u64 at;
	__u64 bytes;
};

/* Where a short message is that is in one place, or the first of two vectors. No bytes: it is not so. */
static __always_inline struct piece find_short(const struct place *place, __u64 length)
{
	struct piece piece = { .at = place->at, .bytes = length }, none = {};
	struct user_vector vectors[2];
	__u64 bytes = place->vectors * sizeof *vectors;

	if (!place->known || place->vectors > 2)
		return none;
	if (bytes) {
		BOUND(bytes, sizeof vectors);
		if (bpf_probe_read_user(vectors, bytes, (void *)place->at))
			return none;
		piece.at = vectors[0].base;
		if (vectors[0].length < length)
			piece.bytes = vectors[0].length;
	}
	return piece.bytes <= SHORT ? piece : none;
}
