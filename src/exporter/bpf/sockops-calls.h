/* SPDX-License-Identifier: GPL-2.0-only */
/* Which system calls a short-cut socket answers wrongly: from a call's number and arguments to enum sockops_call. */
#pragma once
#include "sockops.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Numbers of calls: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
#if defined(__TARGET_ARCH_x86)
enum {
	NR_IOCTL = 16,
	NR_SENDFILE = 40,
	NR_SENDTO = 44,
	NR_RECVFROM = 45,
	NR_SENDMSG = 46,
	NR_RECVMSG = 47,
	NR_SETSOCKOPT = 54,
	NR_GETSOCKOPT = 55,
	NR_FCNTL = 72,
	NR_SPLICE = 275,
	NR_RECVMMSG = 299,
	NR_SENDMMSG = 307,
};
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct io_kiocb {
	__u8 opcode;
};
struct pt_regs {
	unsigned long r10;
	unsigned long dx;
	unsigned long si;
};
#pragma clang attribute pop
#define SECOND(registers) ((registers)->si)
#define THIRD(registers) ((registers)->dx)
#define FOURTH(registers) ((registers)->r10)
#elif defined(__TARGET_ARCH_arm64)
enum {
	NR_FCNTL = 25,
	NR_IOCTL = 29,
	NR_SENDFILE = 71,
	NR_SPLICE = 76,
	NR_SENDTO = 206,
	NR_RECVFROM = 207,
	NR_SETSOCKOPT = 208,
	NR_GETSOCKOPT = 209,
	NR_SENDMSG = 211,
	NR_RECVMSG = 212,
	NR_RECVMMSG = 243,
	NR_SENDMMSG = 269,
};
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct io_kiocb {
	__u8 opcode;
};
struct pt_regs {
	__u64 regs[31];
};
#pragma clang attribute pop
#define SECOND(registers) ((registers)->regs[1])
#define THIRD(registers) ((registers)->regs[2])
#define FOURTH(registers) ((registers)->regs[3])
#else
#error "unknown architecture"
#endif

/* include/linux/socket.h, include/uapi/asm-generic/{ioctls,sockios,socket}.h, include/uapi/linux/{fcntl,tcp}.h */
enum { MSG_OOB = 0x1, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_WAITALL = 0x100 };
enum { O_NONBLOCK = 00004000 };
enum { FIONREAD = 0x541b, FIOSETOWN = 0x8901, SIOCSPGRP = 0x8902, SIOCATMARK = 0x8905 };
/* include/uapi/linux/stat.h */
enum { S_IFMT = 0170000, S_IFSOCK = 0140000 };
enum { F_SETOWN = 8, F_SETOWN_EX = 15 };
enum { SOL_SOCKET = 1, SOL_TCP = 6 };
enum { SO_OOBINLINE = 10, SO_RCVLOWAT = 18, SO_PEEK_OFF = 42, SO_ZEROCOPY = 60 };
enum { SO_TIMESTAMP_OLD = 29, SO_TIMESTAMPNS_OLD = 35, SO_TIMESTAMPING_OLD = 37 };
enum { SO_TIMESTAMP_NEW = 63, SO_TIMESTAMPNS_NEW = 64, SO_TIMESTAMPING_NEW = 65 };
enum { TCP_REPAIR = 19, TCP_ULP = 31, TCP_ZEROCOPY_RECEIVE = 35, TCP_INQ = 36 };

static __always_inline int call_of_receive(__u32 flags)
{
	if (flags & MSG_OOB)
		return CALL_URGENT;
	if (flags & MSG_WAITALL)
		return CALL_WAIT_ALL;
	return flags & MSG_TRUNC ? CALL_TRUNCATE : -1;
}

static __always_inline int call_of_option(__u32 level, __u32 name)
{
	if (level == SOL_TCP)
		return name == TCP_ULP || name == TCP_REPAIR ? CALL_TLS : name == TCP_INQ ? CALL_FIONREAD : -1;
	if (level != SOL_SOCKET)
		return -1;
	switch (name) {
	case SO_OOBINLINE:
		return CALL_URGENT;
	case SO_RCVLOWAT:
		return CALL_WAIT_ALL;
	case SO_PEEK_OFF:
		return CALL_PEEK_OFFSET;
	case SO_ZEROCOPY:
		return CALL_ZERO_COPY;
	case SO_TIMESTAMP_OLD:
	case SO_TIMESTAMPNS_OLD:
	case SO_TIMESTAMPING_OLD:
	case SO_TIMESTAMP_NEW:
	case SO_TIMESTAMPNS_NEW:
	case SO_TIMESTAMPING_NEW:
		return CALL_TIMESTAMPS;
	}
	return -1;
}

/* include/uapi/linux/io_uring.h: operations on sockets, whose flags are not looked at. */
enum {
	IORING_OP_SENDMSG = 9,
	IORING_OP_RECVMSG = 10,
	IORING_OP_SEND = 26,
	IORING_OP_RECV = 27,
	IORING_OP_SPLICE = 30,
	IORING_OP_URING_CMD = 46,
	IORING_OP_SEND_ZC = 47,
	IORING_OP_SENDMSG_ZC = 48,
	IORING_OP_RECV_ZC = 58,
};

static __always_inline bool is_of_sockets(__u8 operation)
{
	switch (operation) {
	case IORING_OP_SENDMSG:
	case IORING_OP_RECVMSG:
	case IORING_OP_SEND:
	case IORING_OP_RECV:
	case IORING_OP_SPLICE:
	case IORING_OP_URING_CMD:
	case IORING_OP_SEND_ZC:
	case IORING_OP_SENDMSG_ZC:
	case IORING_OP_RECV_ZC:
		return true;
	}
	return false;
}

/* Whether a file of the current process is a socket. */
static __always_inline bool is_socket(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file;

	if (fd >= BPF_CORE_READ(table, max_fds) || bpf_probe_read_kernel(&file, sizeof(file), &files[fd]) < 0)
		return false;
	return (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFSOCK;
}

static __always_inline int call_of_ioctl(__u32 request)
{
	switch (request) {
	case FIONREAD:
	case SIOCATMARK:
		return CALL_FIONREAD;
	case FIOSETOWN:
	case SIOCSPGRP:
		return CALL_URGENT;
	}
	return -1;
}

/* -1 for a call that is done right. The arguments are the second to the fourth. */
static __always_inline int call_of(long number, __u32 second, __u32 third, __u32 fourth)
{
	switch (number) {
	case NR_IOCTL:
		return call_of_ioctl(second);
	case NR_RECVFROM:
	case NR_RECVMMSG:
		return call_of_receive(fourth);
	case NR_RECVMSG:
		return call_of_receive(third);
	case NR_SENDTO:
	case NR_SENDMMSG:
		return fourth & MSG_OOB ? CALL_URGENT : -1;
	case NR_SENDMSG:
		return third & MSG_OOB ? CALL_URGENT : -1;
	case NR_SETSOCKOPT:
		return call_of_option(second, third);
	case NR_GETSOCKOPT:
		return second == SOL_TCP && third == TCP_ZEROCOPY_RECEIVE ? CALL_SPLICE : -1;
	case NR_FCNTL:
		return second == F_SETOWN || second == F_SETOWN_EX ? CALL_URGENT : -1;
	case NR_SPLICE:
		return CALL_SPLICE;
	case NR_SENDFILE: /* to a pipe */
		return is_socket(second) ? CALL_SPLICE : -1;
	}
	return -1;
}
