/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stack.bpf.c and its reader in TypeScript (core/decode-stack.ts) share. Sizes and offsets are asserted here and
 * there: a change must be made in both.
 */
#pragma once
#include "kernel.h"

/* Between which two points a packet's time is taken. */
enum stack_stage {
	RECEIVE_QUEUE, /* handed over by the device -> taken up by the network stack */
	RECEIVE_IP, /* taken up -> TCP: IP, what filters there, and finding the socket */
	RECEIVE_BACKLOG, /* the same where a process held the socket: and the wait until it let go */
	RECEIVE_TCP, /* TCP -> ready to be read */
	RECEIVE_UDP, /* taken up -> a datagram is ready to be read: IP and UDP */
	RECEIVE_APPLICATION, /* ready -> read by the application: how long that took to come */
	RECEIVE_TOTAL, /* handed over by the device -> read by the application */
	SEND_BUFFER, /* the application's call ended -> TCP decided to send its last byte; 0: in the call */
	SEND_IP, /* TCP decided to send -> the device's queue: IP and what filters there */
	SEND_QUEUE, /* in the device's queue -> taken by the device */
	STACK_STAGES,
};

/* A bucket for each power of two of nanoseconds: below 2^10, below 2^11, ... below 2^30, and all above. */
enum { STACK_FIRST_BOUND = 10, STACK_BUCKETS = 22 };

/* Of one network namespace, on one processor. */
struct stack_times {
	__u64 sum_ns[STACK_STAGES];
	__u64 buckets[STACK_STAGES][STACK_BUCKETS];
};
_Static_assert(sizeof(struct stack_times) == 1840, "stack_times: change core/decode-stack.ts too");
_Static_assert(__builtin_offsetof(struct stack_times, buckets) == 80, "stack_times.buckets");

struct stack_interface_key {
	__u32 netns;
	__u32 ifindex;
};
_Static_assert(sizeof(struct stack_interface_key) == 8, "stack_interface_key: change core/decode-stack.ts too");

/* What went through an interface, on one processor. */
struct stack_interface {
	__u64 receive_bytes;
	__u64 receive_packets;
	__u64 transmit_bytes;
	__u64 transmit_packets;
	char name[16]; /* on the processor that saw it first */
};
_Static_assert(sizeof(struct stack_interface) == 48, "stack_interface: change core/decode-stack.ts too");
_Static_assert(__builtin_offsetof(struct stack_interface, name) == 32, "stack_interface.name");

struct stack_drop_key {
	__u32 netns;
	__u32 reason; /* enum skb_drop_reason of the running kernel */
};
_Static_assert(sizeof(struct stack_drop_key) == 8, "stack_drop_key: change core/decode-stack.ts too");

/* Bit N is set when a chosen namespace has the number N modulo their count. All traffic passes here first. */
struct stack_filter {
	__u64 bits[64];
};
_Static_assert(sizeof(struct stack_filter) == 512, "stack_filter: change core/decode-stack.ts too");

/* What had no room in a map, on one processor. */
struct stack_losses {
	__u64 interfaces;
	__u64 drops;
};
_Static_assert(sizeof(struct stack_losses) == 16, "stack_losses: change core/decode-stack.ts too");
