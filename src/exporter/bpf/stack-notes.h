/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When a packet passed a point is noted in a table without locks, by the address of its sk_buff: a word has the time, the
 * point and some bits of the address, so that a note is never half another packet's. Two packets can meet in a place; the
 * first then loses its time, which is no harm to a histogram.
 */
#pragma once
#include "stack-maps.h"

/*
 * When a packet was last noted, and when it came in. Of a datagram that waits in a socket: with how many are read until it is,
 * above. Of a write: when it ended, and the number of its last byte.
 */
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
/* By the address of the socket. */
struct notes in_sockets SEC(".maps");

/* Where it was noted; 0 is no note. */
enum point { HANDED_OVER = 1, TAKEN_UP, IN_TCP, READY, WAITS_TO_BE_SENT };

/* From the top: 3 bits of the point, 13 of the address, 48 of the time, which are 78 hours. */
enum { POINT_AT = 61, TIME_BITS = 48 };
#define TIME_MASK ((1ULL << TIME_BITS) - 1)
#define NO_TIME (~0ULL)

/* The verifier lets nobody calculate with an address, but tells the distance of two: one of them never changes. */
static __always_inline __u64 hash_of(const void *address)
{
	__u64 distance = (__u64)address;

	asm volatile("%0 -= %1" : "+r"(distance) : "r"(&filter));
	return distance * 0x9e3779b97f4a7c15ULL;
}

static __always_inline struct note *note_of(void *table, __u64 hash)
{
	__u32 place = hash >> (64 - NOTE_BITS);

	return bpf_map_lookup_elem(table, &place);
}

static __always_inline __u64 mark_of(__u64 hash, enum point point)
{
	return (__u64)point << POINT_AT | ((hash >> 34) & 0x1fff) << TIME_BITS;
}

static __always_inline bool has_mark(__u64 word, __u64 mark)
{
	return (word & ~TIME_MASK) == mark;
}

static __always_inline __u64 word_of(__u64 mark, __u64 time)
{
	return mark | (time & TIME_MASK);
}

/* How long ago the word was written, when it has this mark. */
static __always_inline __u64 since(__u64 word, __u64 mark, __u64 now)
{
	return has_mark(word, mark) ? (now - word) & TIME_MASK : NO_TIME;
}
