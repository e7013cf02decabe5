/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What socket programs are called with, as include/uapi/linux/bpf.h lays it out: the verifier goes by these offsets, so
 * that every field up to the last used one has its place here.
 */
#pragma once
#include "kernel.h"

enum {
	BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4,
	BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5,
	BPF_SOCK_OPS_STATE_CB = 10,
};
enum { BPF_SOCK_OPS_STATE_CB_FLAG = 1 << 2 };
enum { BPF_F_INGRESS = 1 << 0 };
enum sk_action { SK_DROP, SK_PASS };

struct bpf_sock;

struct bpf_sock_ops {
	__u32 op;
	__u32 args[4];
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 is_fullsock;
	__u32 snd_cwnd;
	__u32 srtt_us;
	__u32 bpf_sock_ops_cb_flags;
	__u32 unused[20];
	__u64 bytes_received;
	__u64 bytes_acked;
	struct bpf_sock *sk;
};
_Static_assert(__builtin_offsetof(struct bpf_sock_ops, bytes_received) == 168, "bpf_sock_ops.bytes_received");
_Static_assert(__builtin_offsetof(struct bpf_sock_ops, sk) == 184, "bpf_sock_ops.sk");

struct sk_msg_md {
	void *data;
	void *data_end;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 size;
	struct bpf_sock *sk;
};
_Static_assert(__builtin_offsetof(struct sk_msg_md, size) == 68, "sk_msg_md.size");
_Static_assert(__builtin_offsetof(struct sk_msg_md, sk) == 72, "sk_msg_md.sk");
