/* SPDX-License-Identifier: GPL-2.0-only */
/* How kernel memory is read: by a cast that the kernel checks (Linux 6.2), or by probe reads, which are slower. */
#pragma once
#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#ifdef PROBE_READS
#define KERNEL(type, pointer) ((struct type *)(pointer))
#define READ(pointer, field) BPF_CORE_READ(pointer, field)
#else
extern void *bpf_rdonly_cast(void *pointer, __u32 type) __ksym;
#define KERNEL(type, pointer) \
	((struct type *)bpf_rdonly_cast((void *)(pointer), bpf_core_type_id_kernel(struct type)))
#define READ(pointer, field) ((pointer)->field)
#endif
