// SPDX-License-Identifier: GPL-2.0-only
/*
 * As requests.bpf.c, for kernels before 6.3: at the exit of system calls, whose first argument leads to the socket. Every system
 * call of every process of the machine comes by here.
 *
 * What was moved on a socket otherwise, as by io_uring, is not noticed.
 */
#define SYSCALL_HOOKS
#include "requests.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "requests-moved.h"

char LICENSE[] SEC("license") = "GPL";

/* Of include/uapi/linux/stat.h. */
enum { S_IFMT = 0170000, S_IFSOCK = 0140000 };
/* Messages of one recvmmsg or sendmmsg whose lengths are added up. */
#define MESSAGES 16
/* Of struct mmsghdr. */
enum { MMSGHDR_SIZE = 64, MSG_LEN_AT = 56 };

/* The TCP socket that a file of the current task is, or 0. */
static __always_inline struct sock *socket_of(__u32 number)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = 0;
	struct socket *socket;
	struct sock *sk;
	__u16 family;

	if (number >= BPF_CORE_READ(table, max_fds) || bpf_probe_read_kernel(&file, sizeof file, files + number) || !file)
		return 0;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk)
		return 0;
	family = SOCK(sk, skc_family);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	return BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP ? sk : 0;
}

/* The bytes of a recvmmsg or sendmmsg that moved `messages`; 0: cannot be told. */
static __always_inline __u32 length_of_messages(struct pt_regs *regs, long messages)
{
	__u32 sum = 0;

	if (messages > MESSAGES)
		return 0;
#pragma unroll
	for (int index = 0; index < MESSAGES; index++) {
		__u32 length = 0;

		if (index >= messages)
			break;
		if (bpf_probe_read_user(&length, sizeof length,
					(void *)(SYSCALL_ARG2(regs) + index * MMSGHDR_SIZE + MSG_LEN_AT)))
			return 0;
		sum += length;
	}
	return sum;
}

/* Whether `length` bytes are the first that moved on a connection, either way. A SYN counts as sent. */
static __always_inline bool is_first(struct sock *sk, __u32 length, __u32 direction)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u32 unread = BPF_CORE_READ(tcp, rcv_nxt) - BPF_CORE_READ(tcp, copied_seq);
	__u32 unacked = BPF_CORE_READ(tcp, write_seq) - BPF_CORE_READ(tcp, snd_una);
	__u64 received = BPF_CORE_READ(tcp, bytes_received) - unread;
	__u64 sent = BPF_CORE_READ(tcp, bytes_acked) + unacked;

	return direction == EVENT_RECEIVED ? received == length && sent <= 1 : received == 0 && sent <= (__u64)length + 1;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long result)
{
	__u32 direction = EVENT_RECEIVED;
	struct watched *watched;
	__u64 flags = 0, cgroup;
	bool several = false;
	struct sock *sk = 0;

	if (result <= 0 || result > 0x7fffffff)
		return 0;
	long number = SYSCALL_NR(regs);

	switch (number) {
	case NR_READ:
	case NR_READV:
		break;
	case NR_RECVFROM:
		flags = SYSCALL_ARG4(regs);
		break;
	case NR_RECVMSG:
		flags = SYSCALL_ARG3(regs);
		break;
	case NR_RECVMMSG:
		flags = SYSCALL_ARG4(regs);
		several = true;
		break;
	case NR_SENDMMSG:
		several = true;
		/* fall through */
	case NR_WRITE:
	case NR_WRITEV:
	case NR_SENDTO:
	case NR_SENDMSG:
	case NR_SENDFILE:
	case NR_SPLICE:
		direction = EVENT_SENT;
		break;
	default:
		return 0;
	}
	cgroup = bpf_get_current_cgroup_id();
	if (!may_be_chosen(cgroup) || (flags & MSG_PEEK) || !IS_NATIVE(regs) || !bpf_map_lookup_elem(&chosen, &cgroup))
		return 0;
	/* splice(from, at, to, …): into a socket, or out of one. */
	if (number == NR_SPLICE)
		sk = socket_of(SYSCALL_ARG3(regs));
	if (!sk) {
		if (number == NR_SPLICE)
			direction = EVENT_RECEIVED;
		sk = socket_of(SYSCALL_ARG1(regs));
	}
	if (!sk)
		return 0;
	/* Its end was seen already, or never will be: nothing must stay behind for another socket at this address. */
	if (SOCK(sk, skc_state) == TCP_CLOSE && !memory_of(sk))
		return 0;
	watched = memory_of(sk);
	if (!is_current(watched))
		watched = watch(sk, watched, cgroup);
	if (!watched)
		return 0;
	if (several) {
		result = length_of_messages(regs, result);
		/* Without knowing how much moved, nothing that follows can be understood. */
		if (!result)
			watched->protocol = PROTOCOL_TLS;
	}
	if (!watched->cookie) {
		watched->cookie = bpf_ktime_get_ns();
		watched->from_start = is_first(sk, result, direction);
	}
	moved(sk, watched, regs, result, direction);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int before, int after)
{
	__u64 address = (__u64)sk;
	struct watched *watched;

	if (after != TCP_CLOSE)
		return 0;
	watched = memory_of(sk);
	if (!watched)
		return 0;
	ended(sk, watched);
	bpf_map_delete_elem(&sockets, &address);
	return 0;
}
