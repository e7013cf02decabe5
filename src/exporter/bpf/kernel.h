/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel types that the programs of this folder touch, with only the fields that they read. Every access is
 * relocated when the object is loaded (CO-RE): order, size and neighbours of a field here mean nothing, only its name
 * and its path. See README.md.
 */
#pragma once

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
/* Network byte order. */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

#define true 1
#define false 0

/* Of include/uapi/linux/bpf.h: what maps are declared with. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_SOCKHASH = 18,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_F_NO_PREALLOC = 1 << 0, BPF_F_MMAPABLE = 1 << 10 };

/* Of include/linux/socket.h, include/uapi/linux/in.h and include/net/tcp_states.h. */
enum { AF_INET = 2, AF_INET6 = 10 };
enum { IPPROTO_TCP = 6, IPPROTO_UDP = 17 };
/* Of include/linux/socket.h. */
enum { MSG_PEEK = 2 };
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LISTEN = 10,
	TCP_NEW_SYN_RECV = 12,
};
/* A listening chain ends with its bucket's number plus this (include/net/inet_hashtables.h). */
enum { LISTENING_NULLS_BASE = 1 << 29 };

/* Bits of skc_flags; their numbers are relocated too. */
enum sock_flags {
	SOCK_URGINLINE = 2,
	SOCK_RCVTSTAMP = 8,
	SOCK_RCVTSTAMPNS = 9,
	SOCK_TIMESTAMPING_RX_SOFTWARE = 13,
	SOCK_ZEROCOPY = 22,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};
struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};
struct hlist_nulls_node {
	struct hlist_nulls_node *next;
};
struct hlist_nulls_head {
	struct hlist_nulls_node *first;
};
typedef struct {
	int counter;
} atomic_t;
typedef struct {
	__s64 counter;
} atomic64_t;
typedef struct {
	atomic_t refs;
} refcount_t;
typedef struct {
	__u32 val;
} kuid_t;
struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct kernfs_node {
	__u64 id;
};
struct cgroup {
	struct kernfs_node *kn;
};
struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct bpf_local_storage;
struct net;
struct proto;
struct sock;
typedef struct {
	struct net *net;
} possible_net_t;

struct socket;
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	union {
		struct hlist_node skc_node;
		struct hlist_nulls_node skc_nulls_node;
	};
	struct sock *skc_listener;
	struct proto *skc_prot;
	unsigned long skc_flags;
	atomic64_t skc_cookie;
};
struct numa_drop_counters {
	atomic_t drops0;
	atomic_t drops1;
};
struct sk_buff;
struct sk_buff_head {
	struct sk_buff *prev;
	__u32 qlen;
};
struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	struct {
		int owned;
	} sk_lock;
	refcount_t sk_wmem_alloc;
	atomic_t sk_drops;
	struct numa_drop_counters *sk_drop_counters;
	kuid_t sk_uid;
	__u16 sk_protocol;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	struct sock_cgroup_data sk_cgrp_data;
	int sk_err;
	int sk_rcvlowat;
	int sk_rcvbuf;
	int sk_peek_off;
	__u8 sk_shutdown;
	__u8 sk_kern_sock : 1;
	void *sk_user_data;
	struct bpf_local_storage *sk_bpf_storage;
	struct socket *sk_socket;
};
struct inode {
	unsigned short i_mode;
};
struct file {
	unsigned int f_flags;
	struct inode *f_inode;
	void *private_data;
};
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
};
struct socket {
	struct file *file;
	struct sock *sk;
};
struct sk_psock {
	struct list_head ingress_msg;
};
struct tcp_sock {
	__u32 copied_seq;
	__u32 write_seq;
	__u32 snd_nxt;
	__u32 rcv_nxt;
	__u32 snd_una;
	__u32 srtt_us;
	__u32 total_retrans;
	__u64 bytes_received;
	__u64 bytes_acked;
	__u64 tcp_clock_cache;
	__u8 recvmsg_inq : 1;
};
struct inet_connection_sock {
	void *icsk_ulp_ops;
};
struct udp_sock {
	struct sk_buff_head reader_queue;
	int forward_deficit;
};
struct inet_timewait_sock {
	volatile unsigned char tw_substate;
};

struct inet_ehash_bucket {
	struct hlist_nulls_head chain;
};
struct inet_listen_hashbucket {
	struct hlist_nulls_head nulls_head;
};
struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	unsigned int ehash_mask;
	unsigned int lhash2_mask;
	struct inet_listen_hashbucket *lhash2;
};
struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo;
};
struct udp_hslot {
	struct hlist_head head;
};
struct udp_table {
	struct udp_hslot *hash;
	unsigned int mask;
};
struct proto {
	union {
		struct udp_table *udp_table;
	} h;
};
struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	struct udp_table *udp_table;
	struct sock *mc_autojoin_sk;
};
struct proc_ns_operations;
struct ns_common {
	const struct proc_ns_operations *ops;
	unsigned int inum;
};
struct net {
	struct ns_common ns;
	struct list_head list;
	struct netns_ipv4 ipv4;
};
struct net_device {
	char name[16];
	int ifindex;
	unsigned short hard_header_len;
	possible_net_t nd_net;
};
struct sk_buff {
	char cb[48];
	struct net_device *dev;
	struct sock *sk;
	__u64 skb_mstamp_ns;
	unsigned int len;
	unsigned char *head;
	unsigned char *data;
	__u16 transport_header;
};
/* What TCP keeps in sk_buff.cb. */
struct tcp_skb_cb {
	__u16 tcp_gso_segs;
};
struct trace_event_raw_tcp_retransmit_skb {
	int err;
};
struct nsproxy {
	struct net *net_ns;
};
struct task_struct {
	struct files_struct *files;
	struct nsproxy *nsproxy;
};
struct timespec64 {
	__s64 tv_sec;
};

#pragma clang attribute pop
