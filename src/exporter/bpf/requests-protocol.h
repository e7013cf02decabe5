/* SPDX-License-Identifier: GPL-2.0-only */
/* What a connection speaks, as far as it decides how much of it is captured. User space decides what it really is. */
#pragma once
#include "requests-maps.h"

/* Bytes of a message that are captured at most, over all its system calls. */
#define MESSAGE_BUDGET 8192
/* Captured in any case, to see whether a message begins. */
#define GLANCE 16
/* Events of a socket that are captured whole while it is not known what it speaks. */
#define UNDECIDED_EVENTS 64
/* Events that look like a protocol before it is taken for that, on connections that were joined midway. */
#define LOOKALIKES 4

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

/* RFC 8446 section 5.1: a known type, a version of TLS. */
static __always_inline bool begins_record(const __u8 *start, __u32 length)
{
	return length >= 5 && start[0] >= 20 && start[0] <= 23 && start[1] == 3 && start[2] <= 4 && start[3] <= 0x48;
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
		if (begins_record(start, length)) {
			if ((watched->from_start && watched->events == 1) || ++watched->records >= LOOKALIKES)
				watched->protocol = PROTOCOL_TLS;
			return GLANCE < length ? GLANCE : length;
		}
		if (begins_frame(start, length)) {
			if (++watched->frames >= LOOKALIKES)
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
