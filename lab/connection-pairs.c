/*
 * Both ends of TCP connections on loopback, for benchmarks of what lies between them.
 *
 *   latency COUNT SIZE    COUNT messages of SIZE bytes, each answered by one as long: prints nanoseconds, a line each
 *   stream SECONDS SIZE   writes of SIZE bytes, as fast as they are read: prints bytes and nanoseconds
 *   soak BYTES SECONDS    mixed traffic, every byte compared, until either is reached: prints bytes, nanoseconds, connections
 *
 * The other end is a process of its own. Exit status 1, and a line on stderr, for the first byte that is wrong or missing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What is sent at an offset of a stream is pattern[offset % PERIOD]; a prime, so that nothing lines up with messages. */
enum { PERIOD = 1048573, LONGEST = 1 << 20, LANES = 4 };
static unsigned char pattern[PERIOD + LONGEST];
static int pattern_file;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static uint32_t random_of(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void make_pattern(void)
{
	uint32_t state = 0x9e3779b9;

	for (int at = 0; at < PERIOD; at++)
		pattern[at] = random_of(&state) >> 11;
	for (int at = PERIOD; at < PERIOD + LONGEST; at++)
		pattern[at] = pattern[at - PERIOD];
	pattern_file = memfd_create("pattern", 0);
	if (pattern_file < 0 || write(pattern_file, pattern, sizeof(pattern)) != sizeof(pattern))
		fail("pattern");
}

/* family 0: IPv4, 1: IPv6, 2: an IPv4 client of an IPv6 server */
static void connect_pair(int family, int *client, int *server)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr *address = family == 0 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	socklen_t length = family == 0 ? sizeof(v4) : sizeof(v6);
	int one = 1, listener = socket(address->sa_family, SOCK_STREAM, 0);

	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == 1)
		v6.sin6_addr = in6addr_loopback;
	if (bind(listener, address, length) < 0 || listen(listener, 1) < 0 || getsockname(listener, address, &length) < 0)
		fail("listen");
	if (family == 2) {
		v4.sin_port = v6.sin6_port;
		address = (struct sockaddr *)&v4;
		length = sizeof(v4);
	}
	*client = socket(address->sa_family, SOCK_STREAM, 0);
	if (connect(*client, address, length) < 0)
		fail("connect");
	*server = accept(listener, NULL, NULL);
	if (*server < 0)
		fail("accept");
	close(listener);
	setsockopt(*client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* As servers and sidecars have them; blocking readers are refused the short cut. */
	fcntl(*client, F_SETFL, O_NONBLOCK);
	fcntl(*server, F_SETFL, O_NONBLOCK);
	setsockopt(*server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void write_all(int fd, const unsigned char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = send(fd, data, length, MSG_NOSIGNAL);

		if (written < 0) {
			struct pollfd writable = { .fd = fd, .events = POLLOUT };

			if (errno != EAGAIN)
				fail("send");
			poll(&writable, 1, -1);
			continue;
		}
		data += written;
		length -= written;
	}
}

static ssize_t receive(int fd, unsigned char *buffer, size_t length)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	ssize_t count;

	while ((count = recv(fd, buffer, length, 0)) < 0 && errno == EAGAIN)
		if (poll(&readable, 1, 60000) == 0)
			fail("nothing comes");
	return count;
}

/* Reads what is there, up to length; compares it with the stream from offset on. 0: the end. -1: nothing now. */
static ssize_t read_some(int fd, unsigned char *buffer, size_t length, uint64_t offset)
{
	ssize_t count = recv(fd, buffer, length, 0);

	if (count < 0 && errno == EAGAIN)
		return -1;
	if (count < 0)
		fail("recv");
	if (memcmp(buffer, pattern + offset % PERIOD, count) != 0) {
		fprintf(stderr, "wrong byte after %llu\n", (unsigned long long)offset);
		_exit(1);
	}
	return count;
}

static void read_all(int fd, unsigned char *buffer, size_t length, uint64_t offset)
{
	while (length > 0) {
		ssize_t count = read_some(fd, buffer, length, offset);

		if (count < 0) {
			struct pollfd readable = { .fd = fd, .events = POLLIN };

			if (poll(&readable, 1, 60000) == 0)
				fail("nothing comes");
			continue;
		}
		if (count == 0) {
			errno = EPIPE;
			fail("the stream ended too early");
		}
		offset += count;
		length -= count;
	}
}

/* A kind of traffic: how a connection of the soak is used. Each moves about BURST bytes. */
enum kind { EXCHANGE, TINY, BULK, EDGE, SENDFILE, PAUSING, KINDS };
static const uint64_t bursts[KINDS] = { 256 << 20, 2 << 20, 512 << 20, 128 << 20, 128 << 20, 64 << 20 };

/* Of all lanes: in memory that their processes share. */
struct sums {
	_Atomic uint64_t bytes;
	_Atomic uint64_t connections;
};
static struct sums *sums;

static size_t size_of(enum kind kind, uint32_t *state)
{
	uint32_t any = random_of(state);

	if (kind == TINY)
		return 1 + any % 64;
	if (kind == EXCHANGE)
		return 1 + any % 32768;
	return any % 8 == 0 ? 1 + any % 100 : 1 + any % LONGEST;
}

static void write_burst(int fd, enum kind kind, uint32_t seed, unsigned char *buffer)
{
	for (uint64_t at = 0; at < bursts[kind];) {
		size_t size = size_of(kind, &seed);

		if (kind == SENDFILE) {
			off_t from = at % PERIOD;

			while (from < (off_t)(at % PERIOD + size))
				if (sendfile(fd, pattern_file, &from, at % PERIOD + size - from) < 0) {
					struct pollfd writable = { .fd = fd, .events = POLLOUT };

					if (errno != EAGAIN)
						fail("sendfile");
					poll(&writable, 1, -1);
				}
		} else {
			write_all(fd, pattern + at % PERIOD, size);
		}
		if (kind == EXCHANGE || kind == TINY)
			read_all(fd, buffer, size, at);
		at += size;
	}
	shutdown(fd, SHUT_WR);
	if (receive(fd, buffer, 1) != 0)
		fail("the other end did not end");
	close(fd);
}

static uint64_t read_burst(int fd, enum kind kind, uint32_t seed, unsigned char *buffer)
{
	uint64_t at = 0;
	int events = epoll_create1(0);
	struct epoll_event edge = { .events = EPOLLIN | EPOLLET };

	if (kind == EDGE)
		epoll_ctl(events, EPOLL_CTL_ADD, fd, &edge);
	for (;;) {
		ssize_t count = read_some(fd, buffer, kind == EDGE ? 30000 : LONGEST, at);

		if (count == 0)
			break;
		if (count < 0 && kind != EDGE) {
			struct pollfd readable = { .fd = fd, .events = POLLIN };

			if (poll(&readable, 1, 60000) == 0)
				fail("nothing comes");
			continue;
		}
		if (count < 0) {
			if (epoll_wait(events, &edge, 1, 60000) != 1) {
				errno = ETIMEDOUT;
				fail("no event");
			}
			continue;
		}
		if (kind == EXCHANGE || kind == TINY)
			write_all(fd, pattern + at % PERIOD, count);
		at += count;
		if (kind == PAUSING && random_of(&seed) % 64 == 0)
			usleep(2000);
	}
	if (at < bursts[kind] || at > bursts[kind] + LONGEST) {
		errno = EIO;
		fail("bytes are missing");
	}
	close(fd);
	close(events);
	return at;
}

/* One connection after the other; the writer is a child of the reader's process. */
static void run_lane(uint32_t seed, uint64_t limit, uint64_t deadline)
{
	unsigned char *buffer = malloc(LONGEST);

	while (sums->bytes < limit && now_ns() < deadline) {
		uint32_t any = random_of(&seed);
		enum kind kind = any % KINDS;
		int client, server, status;

		connect_pair(any / KINDS % 3, &client, &server);
		pid_t child = fork();

		if (child == 0) {
			close(server);
			write_burst(client, kind, any | 1, buffer);
			_exit(0);
		}
		close(client);
		uint64_t bytes = read_burst(server, kind, any | 1, buffer);

		sums->bytes += kind == EXCHANGE || kind == TINY ? 2 * bytes : bytes;
		sums->connections++;
		if (waitpid(child, &status, 0) != child || status != 0) {
			errno = ECHILD;
			fail("a writer failed");
		}
	}
	_exit(0);
}

static void soak(uint64_t limit, uint64_t seconds)
{
	uint64_t began = now_ns(), deadline = began + seconds * 1000000000ULL;
	int status;

	sums = mmap(NULL, sizeof(*sums), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int k = 0; k < LANES; k++)
		if (fork() == 0)
			run_lane(77 + k, limit, deadline);
	for (int k = 0; k < LANES; k++)
		if (wait(&status) < 0 || status != 0)
			_exit(1);
	printf("%llu %llu %llu\n", (unsigned long long)sums->bytes, (unsigned long long)(now_ns() - began),
	       (unsigned long long)sums->connections);
}

static void answer(int fd, size_t size)
{
	unsigned char *buffer = malloc(LONGEST);

	for (;;) {
		size_t got = 0;

		while (got < size) {
			ssize_t count = receive(fd, buffer + got, size - got);

			if (count <= 0)
				_exit(0);
			got += count;
		}
		write_all(fd, buffer, size);
	}
}

static void latency(int count, size_t size)
{
	unsigned char *buffer = malloc(LONGEST);
	int client, server;

	connect_pair(0, &client, &server);
	if (fork() == 0) {
		close(client);
		answer(server, size);
	}
	close(server);
	for (int k = 0; k < count; k++) {
		uint64_t began = now_ns();

		write_all(client, pattern, size);
		read_all(client, buffer, size, 0);
		printf("%llu\n", (unsigned long long)(now_ns() - began));
	}
}

static void stream(uint64_t seconds, size_t size)
{
	unsigned char *buffer = malloc(LONGEST);
	uint64_t bytes = 0, began = now_ns(), deadline = began + seconds * 1000000000ULL;
	int client, server;
	ssize_t count;

	connect_pair(0, &client, &server);
	if (fork() == 0) {
		close(server);
		while (now_ns() < deadline)
			write_all(client, pattern, size);
		_exit(0);
	}
	close(client);
	while ((count = receive(server, buffer, LONGEST)) > 0)
		bytes += count;
	printf("%llu %llu\n", (unsigned long long)bytes, (unsigned long long)(now_ns() - began));
}

int main(int count, char **words)
{
	if (count != 4)
		return 2;
	uint64_t first = strtoull(words[2], NULL, 10), second = strtoull(words[3], NULL, 10);

	make_pattern();
	if (strcmp(words[1], "latency") == 0)
		latency(first, second);
	else if (strcmp(words[1], "stream") == 0)
		stream(first, second);
	else if (strcmp(words[1], "soak") == 0)
		soak(first, second);
	else
		return 2;
	return 0;
}
