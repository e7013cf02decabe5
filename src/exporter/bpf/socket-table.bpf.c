// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TCP and UDP sockets of every network namespace, in one walk over the kernel's hash tables. /proc/net/tcp walks
 * the same tables, once for each namespace that asks.
 *
 * Run by BPF_PROG_TEST_RUN, in slices, with commands of enum socket_read: the first starts a pass, each further one goes
 * on until the phase is PHASE_DONE.
 *
 * Built twice: as is, for kernels with bpf_rdonly_cast (Linux 6.2), and with -DPROBE_READS, slower, for those without.
 */
#include "socket-tables.h"

char LICENSE[] SEC("license") = "GPL";

SEC("raw_tp/sys_enter")
int read_sockets(__u64 *arguments)
{
	struct circle circle = {};
	struct walk walk;

	if (arguments[0] & READ_START) {
		__builtin_memset(&pass, 0, sizeof(pass));
		pass.init_namespace = (__u64)find_init_namespace();
	}
	pass.asked = arguments[0] & (READ_DETAILS | READ_LIVE);
	struct net *init = (struct net *)pass.init_namespace;
	if (!init) {
		pass.status = PASS_NO_NAMESPACES;
		pass.phase = PHASE_DONE;
		return 0;
	}
	struct inet_hashinfo *tcp = BPF_CORE_READ(init, ipv4.tcp_death_row.hashinfo);
	struct udp_table *udp = udp_table_of(init);

	switch (pass.phase) {
	case PHASE_CONNECTIONS:
		walk = connections_of(tcp);
		break;
	case PHASE_LISTENERS:
		walk = listeners_of(tcp);
		break;
	case PHASE_UDP:
		walk = datagrams_of(udp);
		break;
	case PHASE_PRIVATE:
		/* In one slice: under one RCU read section no namespace and no table of it is freed. */
		circle = (struct circle){
			.current = init, .ops = BPF_CORE_READ(init, ns.ops), .shared_tcp = tcp, .shared_udp = udp
		};
		bpf_loop(MOST_NAMESPACES, visit_namespace, &circle, 0);
		pass.phase = PHASE_DONE;
		return 0;
	default:
		return 0;
	}
	walk.bucket = pass.bucket;
	bool through = go_on(&walk, true);

	pass.bucket = through ? 0 : walk.bucket;
	pass.phase += through;
	return 0;
}
