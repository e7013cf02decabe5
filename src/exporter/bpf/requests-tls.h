/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What OpenSSL reads and writes in processes of chosen cgroups, before it is encrypted and after it was decrypted: programs
 * on the entry and the return of its functions.
 *
 * OpenSSL does not tell which socket a connection is on. Two things do: a send or receive that the same thread makes within a
 * call on the connection; and, of programs that move the encrypted bytes themselves, as Node.js does, a receive of TLS
 * records right before the first call on a connection that has no socket yet. What cannot be told is left out and counted.
 */
#pragma once
#include "requests-record.h"
#include "requests-socket.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* The ends of a socket, and whose it is. */
struct peer {
	__u64 cgroup_id;
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 reserved;
	__u8 remote_address[16];
};

/* An SSL of a process. */
struct tls_key {
	__u64 ssl;
	__u64 process;
};

struct tls_connection {
	struct watched watched;
	struct peer peer;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct tls_key);
	__type(value, struct tls_connection);
} tls_connections SEC(".maps");

/* Cookies of sockets that became known by a receive before a call. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, __u32);
} tls_sockets SEC(".maps");

enum tls_call_kind { TLS_READ = EVENT_RECEIVED, TLS_WRITE = EVENT_SENT, TLS_HANDSHAKE, TLS_SENDFILE };

/* A call that a thread is in. */
struct tls_call {
	struct tls_key key;
	__u64 buffer;
	__u64 length_at; /* where the function tells how much it moved; 0: that is its result */
	__u64 stack; /* within the call it is below this */
	__u64 kind;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct tls_call);
} tls_calls SEC(".maps");

/* The socket of which a thread last received TLS records, until it makes a call. */
struct heard {
	__u64 cookie;
	struct peer peer;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct heard);
} tls_heard SEC(".maps");

static __always_inline void connect_tls(const struct tls_key *key, __u64 cookie, const struct peer *peer)
{
	struct tls_connection made = { .peer = *peer };

	made.watched.cookie = cookie;
	bpf_map_update_elem(&tls_connections, key, &made, BPF_ANY);
}

static __always_inline void peer_of(struct peer *peer, struct sock *sk, __u64 cgroup)
{
	__builtin_memset(peer, 0, sizeof *peer);
	peer->cgroup_id = cgroup;
	peer->family = SOCK(sk, skc_family);
	peer->local_port = SOCK(sk, skc_num);
	peer->remote_port = bpf_ntohs(SOCK(sk, skc_dport));
	if (peer->family == AF_INET6)
		COPY_SOCK(peer->remote_address, 16, sk, skc_v6_daddr);
	else
		COPY_SOCK(peer->remote_address, 4, sk, skc_daddr);
}

/* Bytes moved on a socket: whether they are those of a TLS library, because the thread is in a call of it. */
static __always_inline bool is_of_tls_call(struct sock *sk, struct watched *watched, struct pt_regs *regs)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &thread);
	struct tls_connection *connection;
	struct peer peer;

	/* A call may be left without a return, by a jump: the stack is above it then. */
	if (!call || STACK(regs) >= call->stack)
		return false;
	watched->claimed = 1;
	connection = bpf_map_lookup_elem(&tls_connections, &call->key);
	if (connection && connection->watched.cookie == watched->cookie)
		return true;
	peer_of(&peer, sk, watched->cgroup_id);
	connect_tls(&call->key, watched->cookie, &peer);
	return true;
}

/* TLS records were received outside of any call: the next call of this thread may be on them. */
static __always_inline void hear(struct sock *sk, struct watched *watched)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct heard heard = { .cookie = watched->cookie };

	if (bpf_map_lookup_elem(&tls_sockets, &heard.cookie)) {
		watched->claimed = 1;
		return;
	}
	peer_of(&heard.peer, sk, watched->cgroup_id);
	bpf_map_update_elem(&tls_heard, &thread, &heard, BPF_ANY);
}

static __always_inline int enter(struct pt_regs *regs, __u64 buffer, __u64 length_at, __u64 kind)
{
	__u64 thread = bpf_get_current_pid_tgid(), cgroup = bpf_get_current_cgroup_id();
	struct tls_call call = { .buffer = buffer, .length_at = length_at, .stack = STACK(regs), .kind = kind };
	struct heard *heard;
	__u32 known = 1;

	if (!may_be_chosen(cgroup) || !bpf_map_lookup_elem(&chosen, &cgroup))
		return 0;
	call.key.ssl = ARG1(regs);
	call.key.process = thread >> 32;
	heard = bpf_map_lookup_elem(&tls_heard, &thread);
	if (heard) {
		if (!bpf_map_lookup_elem(&tls_connections, &call.key)) {
			connect_tls(&call.key, heard->cookie, &heard->peer);
			bpf_map_update_elem(&tls_sockets, &heard->cookie, &known, BPF_ANY);
		}
		bpf_map_delete_elem(&tls_heard, &thread);
	}
	bpf_map_update_elem(&tls_calls, &thread, &call, BPF_ANY);
	return 0;
}

/* A draft that no other task on this processor is writing. */
static __always_inline struct draft *take_draft(void)
{
#pragma unroll
	for (__u32 index = EVENT_CLOSED + 1; index < DRAFTS; index++) {
		__u32 at = index;
		struct draft *draft = bpf_map_lookup_elem(&drafts, &at);

		if (!draft)
			break;
		/* An addition whose result is asked for is more than every compiler has. */
		__sync_fetch_and_add(&draft->busy, 1);
		if (*(volatile __u32 *)&draft->busy == 1)
			return draft;
		__sync_fetch_and_add(&draft->busy, -1);
	}
	return 0;
}

static __always_inline void emit_tls(struct tls_connection *connection, const struct place *place, __u32 length,
				     __u32 direction)
{
	struct watched *watched = &connection->watched;
	struct draft *draft;

	if (!may_be_chosen(connection->peer.cgroup_id) || !is_recorded(watched, length, direction))
		return;
	draft = take_draft();
	if (!draft) {
		lose_event();
		return;
	}
	describe_stream(&draft->event, watched, direction, bpf_ktime_get_ns());
	draft->event.flags |= EVENT_TLS;
	draft->event.cgroup_id = connection->peer.cgroup_id;
	draft->event.local_port = connection->peer.local_port;
	draft->event.remote_port = connection->peer.remote_port;
	draft->event.family = connection->peer.family;
	__builtin_memcpy(draft->event.remote_address, connection->peer.remote_address, 16);
	record(draft, watched, place, length, direction);
	__sync_fetch_and_add(&draft->busy, -1);
}

/* A call returns; `kind`: one that the program is for. */
static __always_inline int leave(struct pt_regs *regs, __u32 direction)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct tls_call *found = bpf_map_lookup_elem(&tls_calls, &thread), call;
	struct tls_connection *connection;
	__s64 moved = (int)RESULT(regs);

	if (!found)
		return 0;
	call = *found;
	bpf_map_delete_elem(&tls_calls, &thread);
	if (call.kind == TLS_HANDSHAKE || moved <= 0)
		return 0;
	if (call.length_at && bpf_probe_read_user(&moved, sizeof moved, (void *)call.length_at))
		return 0;
	if (call.kind == TLS_SENDFILE)
		moved = RESULT(regs);
	if (moved <= 0 || moved > 0x7fffffff)
		return 0;
	connection = bpf_map_lookup_elem(&tls_connections, &call.key);
	if (!connection) {
		struct request_losses *loss = losses_here();

		if (loss)
			loss->tls++;
		return 0;
	}
	struct place place = { .at = call.buffer, .known = call.kind != TLS_SENDFILE, .file = call.kind == TLS_SENDFILE };

	emit_tls(connection, &place, moved, direction);
	return 0;
}

/* int SSL_read(SSL *, void *buffer, int), and SSL_write */
SEC("uprobe")
int enter_ssl_read(struct pt_regs *regs)
{
	return enter(regs, ARG2(regs), 0, TLS_READ);
}

SEC("uprobe")
int enter_ssl_write(struct pt_regs *regs)
{
	return enter(regs, ARG2(regs), 0, TLS_WRITE);
}

/* int SSL_read_ex(SSL *, void *buffer, size_t, size_t *moved), and SSL_write_ex */
SEC("uprobe")
int enter_ssl_read_ex(struct pt_regs *regs)
{
	return enter(regs, ARG2(regs), ARG4(regs), TLS_READ);
}

SEC("uprobe")
int enter_ssl_write_ex(struct pt_regs *regs)
{
	return enter(regs, ARG2(regs), ARG4(regs), TLS_WRITE);
}

/* ssize_t SSL_sendfile(SSL *, int file, off_t, size_t, int) */
SEC("uprobe")
int enter_ssl_sendfile(struct pt_regs *regs)
{
	return enter(regs, 0, 0, TLS_SENDFILE);
}

/* int SSL_do_handshake(SSL *) */
SEC("uprobe")
int enter_ssl_handshake(struct pt_regs *regs)
{
	return enter(regs, 0, 0, TLS_HANDSHAKE);
}

SEC("uretprobe")
int leave_ssl_read(struct pt_regs *regs)
{
	return leave(regs, EVENT_RECEIVED);
}

/* Of all functions that do not read. */
SEC("uretprobe")
int leave_ssl_write(struct pt_regs *regs)
{
	return leave(regs, EVENT_SENT);
}

/* void SSL_free(SSL *): another connection may get its address. */
SEC("uprobe")
int enter_ssl_free(struct pt_regs *regs)
{
	struct tls_key key = { .ssl = ARG1(regs), .process = bpf_get_current_pid_tgid() >> 32 };

	bpf_map_delete_elem(&tls_connections, &key);
	return 0;
}
