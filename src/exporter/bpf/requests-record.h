/* SPDX-License-Identifier: GPL-2.0-only */
/* From bytes that moved to events in the ring. */
#pragma once
#include "requests-place.h"

/* Copied at once, before it is known whether more is wanted: most heads are no longer. */
#define FIRST 256
/* Events of one system call on HTTP/2, where each frame counts: headers and trailers may be anywhere. */
#define PARTS 4

/* Exchanges of a processor between two looks at how full the ring is; a power of two. */
#define LOOK_EVERY 8

/* A number by chance, by Marsaglia's xorshift: without a call into the kernel. */
static __always_inline __u32 random_here(struct request_losses *here)
{
	__u32 random = here->random;

	if (unlikely(!random))
		random = bpf_get_prandom_u32() | 1;
	random ^= random << 13;
	random ^= random >> 17;
	random ^= random << 5;
	here->random = random;
	return random;
}

/* Whether this exchange is left out because user space does not keep up, or shall not; asked for where one begins. */
static __always_inline bool too_busy(struct request_losses *here)
{
	__u32 mask;

	if (!(here->begun++ & (LOOK_EVERY - 1))) {
		__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);

		here->brake = waiting < settings.ring_bytes / 2 ? 0 : waiting < settings.ring_bytes / 4 * 3 ? 3 : 31;
	}
	mask = settings.sample_mask | here->brake;
	return mask && (random_here(here) & mask);
}

/* Counts what moved; false when it is of an exchange that is left out. */
static __always_inline bool is_recorded(struct watched *watched, __u32 length, __u32 direction)
{
	watched->offsets[direction & 1] += length;
	watched->events++;
	if (watched->protocol == PROTOCOL_HTTP1 && direction == watched->requests && watched->last != direction) {
		struct request_losses *here = losses_here();

		watched->leaving_out = here && too_busy(here);
		if (watched->leaving_out) {
			watched->skipped++;
			watched->aligned[0] = watched->aligned[1] = 1;
			here->exchanges++;
		}
	}
	watched->last = direction;
	return !watched->leaving_out;
}

static __always_inline void lose_event(void)
{
	struct request_losses *loss = losses_here();

	if (loss)
		loss->events++;
}

static __always_inline void emit(struct draft *draft, __u64 captured)
{
	BOUND(captured, CAPTURE);
	draft->event.captured = captured;
	if (bpf_ringbuf_output(&events, draft, sizeof draft->event + captured, BPF_RB_NO_WAKEUP))
		lose_event();
}

/* What an event says of its stream; the caller says of the socket and its ends. */
static __always_inline void describe_stream(struct request_event *event, struct watched *watched, __u32 kind, __u64 at_ns)
{
	event->socket = watched->cookie;
	event->at_ns = at_ns;
	event->offset = 0;
	event->length = 0;
	event->kind = kind;
	event->flags = watched->from_start ? EVENT_FROM_START : 0;
	event->skipped = 0;
}

/* Says where in its stream an event is; it was described. */
static __always_inline void locate(struct request_event *event, struct watched *watched, __u32 length, __u32 direction)
{
	event->offset = watched->offsets[direction & 1] - length;
	event->length = length;
	if (watched->aligned[direction & 1]) {
		event->flags |= EVENT_ALIGNED;
		watched->aligned[direction & 1] = 0;
	}
	if (direction == watched->requests) {
		event->skipped = watched->skipped;
		watched->skipped = 0;
	}
}

/* Emits what `is_recorded`; the event was described. */
static __always_inline void record(struct draft *draft, struct watched *watched, const struct place *place, __u32 length,
				   __u32 direction)
{
	struct request_event *event = &draft->event;
	__u64 wanted, copied = 0, offset;

	locate(event, watched, length, direction);
	offset = event->offset;
	if (place->known) {
		copied = copy(draft, place, 0, length < FIRST ? length : FIRST);
	}
	if (copied) {
		wanted = wanted_of(watched, draft->data, length, direction);
		if (wanted > FIRST && copied == FIRST)
			copied = copy(draft, place, 0, wanted);
		else if (copied > wanted)
			copied = wanted;
	}
	if (!copied && !place->file)
		event->flags |= EVENT_UNREADABLE;
	bool more = watched->protocol == PROTOCOL_HTTP2 && length > CAPTURE && copied == CAPTURE;

	if (more)
		event->length = CAPTURE;
	emit(draft, copied);
	if (!more)
		return;
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
		emit(draft, copy(draft, place, at, left < CAPTURE ? left : CAPTURE));
	}
}
