"""One way to use a TCP connection, and what both ends saw: `socket-cases.py CASE FAMILY [SERVER CLIENT]`.

FAMILY is v4, v6, mapped (a client of IPv4, a server of IPv6) or both_mapped. SERVER and CLIENT are where the ends are made:
`PID` of a process in the network namespace, or `PID:FOLDER` with the folder of a cgroup; without them, here, over loopback.

Prints a JSON list of what happened, which is the same on every machine: a test compares it with and without something
in between. Every case first exchanges some messages, so that whatever watches the connection has begun.
"""

import array
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import random
import ring
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time

seen = []
lock = threading.Lock()


def note(*what):
    with lock:
        seen.append(list(what))


def digest(data):
    return hashlib.sha256(data).hexdigest()


def pattern(length, seed=1):
    return random.Random(seed).randbytes(length)


def read_exactly(sock, length):
    parts = []
    while length > 0:
        part = sock.recv(min(length, 1 << 20))
        if not part:
            break
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def read_to_end(sock):
    """What came, and how it ended: `end` or the name of an error."""
    parts = []
    try:
        while True:
            part = sock.recv(1 << 16)
            if not part:
                return b"".join(parts), "end"
            parts.append(part)
    except OSError as error:
        return b"".join(parts), errno.errorcode[error.errno]


def attempt(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno]


CLONE_NEWNET = 0x40000000
# As VethPair of lab/veth-pair.ts gives them.
addresses = {
    "loopback": {"v4": "127.0.0.1", "v6": "::1"},
    "server": {"v4": "10.9.8.1", "v6": "fd00:9:8::1"},
}


def go_to(place):
    """To the network namespace of a process, and to a cgroup: sockets stay where they were made."""
    pid, _, cgroup = place.partition(":")
    with open(f"/proc/{pid}/ns/net") as namespace:
        ring.checked(ring.libc.setns(namespace.fileno(), CLONE_NEWNET))
    if cgroup:
        with open(f"{cgroup}/cgroup.procs", "w") as processes:
            processes.write(str(os.getpid()))


def connect(family, server_protocol=0, client_protocol=0):
    """A connected pair: client, server."""
    places = sys.argv[3:5]
    host = addresses["server" if places else "loopback"]
    kind = socket.AF_INET if family == "v4" else socket.AF_INET6
    if places:
        go_to(places[0])
    listener = socket.socket(kind, socket.SOCK_STREAM, server_protocol)
    # A mapped server takes IPv4 clients: one family at one end, the other at the other.
    listener.bind(("::" if kind == socket.AF_INET6 else "", 0))
    listener.listen(8)
    if places:
        go_to(places[1])
    of_client = socket.AF_INET if family == "mapped" else kind
    to = {"both_mapped": "::ffff:" + host["v4"], "v6": host["v6"]}.get(family, host["v4"])
    client = socket.socket(of_client, socket.SOCK_STREAM, client_protocol)
    client.connect((to, listener.getsockname()[1]))
    server, _ = listener.accept()
    listener.close()
    for sock in (client, server):
        sock.settimeout(60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


def warm(client, server):
    for turn in range(4):
        client.sendall(b"to server %d" % turn)
        assert read_exactly(server, 11) == b"to server %d" % turn
        server.sendall(b"to client %d" % turn)
        assert read_exactly(client, 11) == b"to client %d" % turn


def together(*actions):
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def tiny(client, server):
    data = pattern(5000)

    def write():
        for byte in data:
            client.sendall(bytes([byte]))

    together(write, lambda: note("read", digest(read_exactly(server, len(data)))))


def large(client, server):
    data, back = pattern(24 << 20), pattern(24 << 20, 2)

    def write(sock, what):
        sizes = random.Random(3)
        at = 0
        while at < len(what):
            size = sizes.choice([1, 100, 1460, 4096, 65536, 300000, 2 << 20])
            sock.sendall(what[at : at + size])
            at += size

    together(
        lambda: write(client, data),
        lambda: write(server, back),
        lambda: note("server", digest(read_exactly(server, len(data)))),
        lambda: note("client", digest(read_exactly(client, len(back)))),
    )
    seen.sort()


def half_close(client, server):
    client.sendall(pattern(70000))
    client.shutdown(socket.SHUT_WR)
    data, end = read_to_end(server)
    note("server", digest(data), end)
    server.sendall(pattern(50000, 2))
    note("readable", bool(select.select([client], [], [], 60)[0]))
    server.close()
    data, end = read_to_end(client)
    note("client", digest(data), end)


def half_close_unread(client, server):
    """The end comes while bytes still wait."""
    client.sendall(b"a" * 1000)
    client.close()
    note("wait", wait_for_end(server))
    data, end = read_to_end(server)
    note("server", digest(data), end)


def wait_for_end(sock):
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return [event for _, event in poll.poll(60000)][0] & select.POLLRDHUP


def reset_by_linger(client, server):
    server.sendall(b"kept" * 100)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.close()
    data, end = read_to_end(client)
    note("client", digest(data), end)
    note("send", attempt(lambda: client.send(b"x")))


def reset_by_late_write(client, server):
    """An answer that is not read yet when the other end, closed, answers a further write by a reset."""
    server.sendall(b"answer" * 100)
    server.close()
    note("wait", wait_for_end(client))
    note("send", attempt(lambda: client.send(b"x" * 100)))
    poll = select.poll()
    poll.register(client, 0)
    note("hung up", [event for _, event in poll.poll(60000)])
    note("send", attempt(lambda: client.send(b"x" * 100)))
    data, end = read_to_end(client)
    note("client", digest(data), end)


def close_unread(client, server):
    """An end that closes without having read what waits for it."""
    client.sendall(b"never read")
    note("wait", bool(select.select([server], [], [], 60)[0]))
    server.close()
    data, end = read_to_end(client)
    note("client", digest(data), end)


def back_pressure(client, server):
    client.setblocking(False)
    data = pattern(64 << 20)
    sent = 0
    while True:
        try:
            sent += client.send(data[sent : sent + 100000])
        except BlockingIOError:
            # Buffers may grow a little meanwhile.
            if not select.select([], [client], [], 0.2)[1]:
                break
    note("writer had to wait", 0 < sent < len(data))
    client.settimeout(60)
    together(
        lambda: client.sendall(data[sent:]),
        lambda: note("read", digest(read_exactly(server, len(data)))),
    )


def fionread(client, server):
    def waiting(sock):
        count = array.array("i", [0])
        fcntl.ioctl(sock, termios.FIONREAD, count)
        return count[0]

    note("waiting", waiting(server))
    for length in (100, 5000, 1):
        client.sendall(b"x" * length)
        select.select([server], [], [], 60)
        note("waiting", waiting(server))
        note("read", len(read_exactly(server, length)))


def splice(client, server):
    reader, writer = os.pipe()
    data = pattern(1 << 20)

    def move():
        moved = []
        left = len(data)
        while left > 0:
            count = os.splice(server.fileno(), writer, min(left, 60000))
            if count == 0:
                break
            moved.append(os.read(reader, count))
            left -= count
        note("moved", digest(b"".join(moved)))

    server.setblocking(True)
    # As a proxy does: its first read of anything is by splice.
    client.sendall(b"first")
    note("first", os.read(reader, os.splice(server.fileno(), writer, 5)).decode())
    together(lambda: client.sendall(data), move)


def long_exchange(client, server):
    """One message at a time, for some seconds."""
    sizes = random.Random(11)
    data = pattern(1 << 20)
    for _ in range(60000):
        size = sizes.choice([1, 50, 3000, 40000])
        at = sizes.randrange(len(data) - size)
        client.sendall(data[at : at + size])
        server.sendall(read_exactly(server, size))
        if read_exactly(client, size) != data[at : at + size]:
            note("wrong", size)
            return
    note("right")


def reader_waits(client, server):
    """The reader goes on at SIGUSR1."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    client.sendall(b"kept for long")
    print("waiting", flush=True)
    signal.sigwait([signal.SIGUSR1])
    note("read", server.recv(100).decode())
    client.sendall(b"and on")
    note("read", server.recv(100).decode())


def sendfile(client, server):
    data = pattern(8 << 20)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        together(
            lambda: client.sendfile(file, 0),
            lambda: note("read", digest(read_exactly(server, len(data)))),
        )


def peek(client, server):
    client.sendall(b"first ")
    client.sendall(b"second ")
    client.sendall(b"third")
    select.select([server], [], [], 60)
    while len(server.recv(100, socket.MSG_PEEK)) < 18:
        pass
    for length in (3, 9, 100):
        note("peeked", server.recv(length, socket.MSG_PEEK).decode())
    note("read", read_exactly(server, 8).decode())
    note("peeked", server.recv(100, socket.MSG_PEEK).decode())
    note("read", read_exactly(server, 10).decode())
    server.setblocking(False)
    note("nothing", attempt(lambda: server.recv(1, socket.MSG_PEEK)))


def urgent(client, server):
    fcntl.fcntl(server, fcntl.F_SETOWN, os.getpid())
    signal.signal(signal.SIGURG, lambda *_: None)
    client.sendall(b"before")
    client.send(b"!", socket.MSG_OOB)
    client.sendall(b"after")
    poll = select.poll()
    poll.register(server, select.POLLPRI)
    note("urgent", [event & select.POLLPRI for _, event in poll.poll(60000)])
    note("byte", server.recv(1, socket.MSG_OOB).decode())
    note("read", server.recv(100).decode())
    note("read", server.recv(100).decode())


def urgent_inline(client, server):
    server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    client.sendall(b"before")
    client.send(b"!", socket.MSG_OOB)
    client.sendall(b"after")
    note("read", server.recv(100).decode())
    note("read", read_exactly(server, 6).decode())


def edge_triggered(client, server):
    data = pattern(4 << 20)
    poll = select.epoll()
    for sock in (client, server):
        sock.setblocking(False)
    poll.register(client, select.EPOLLOUT | select.EPOLLET)
    poll.register(server, select.EPOLLIN | select.EPOLLET)
    sent, parts = 0, []
    sizes = random.Random(5)
    while sum(map(len, parts)) < len(data):
        events = poll.poll(30)
        if not events:
            note("stalled", sent, sum(map(len, parts)))
            break
        for fd, _ in events:
            try:
                while fd == client.fileno() and sent < len(data):
                    sent += client.send(data[sent : sent + sizes.choice([1, 700, 9000, 200000])])
                while fd == server.fileno():
                    parts.append(server.recv(sizes.choice([100, 5000, 100000])))
            except BlockingIOError:
                pass
    note("read", digest(b"".join(parts)))


def wait_all(client, server):
    note("flag", read_whole(client, server))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 3000)
    client.sendall(b"y" * 1000)
    note("below the mark", len(select.select([server], [], [], 0.2)[0]))
    client.sendall(b"y" * 2000)
    note("at the mark", len(select.select([server], [], [], 60)[0]))
    note("read", len(server.recv(5000)))


def read_whole(client, server):
    server.setblocking(True)
    lengths = []
    reader = threading.Thread(target=lambda: lengths.append(len(server.recv(3000, socket.MSG_WAITALL))))
    reader.start()
    for _ in range(3):
        client.sendall(b"x" * 1000)
    reader.join(60)
    return lengths


def truncate(client, server):
    client.sendall(b"thrown away, kept")
    select.select([server], [], [], 60)
    buffer = bytearray(b"-" * 13)
    note("thrown", server.recv_into(buffer, 13, socket.MSG_TRUNC), buffer.decode())
    note("read", read_exactly(server, 4).decode())


def writer_dies(client, server):
    """Killed after it wrote what nobody has read yet."""
    child = os.fork()
    if child == 0:
        server.close()
        client.sendall(pattern(30000))
        os.kill(os.getpid(), signal.SIGKILL)
    client.close()
    os.waitpid(child, 0)
    data, end = read_to_end(server)
    note("server", digest(data), end)


def reader_dies(client, server):
    """Killed while it reads: the writer learns of it."""
    child = os.fork()
    if child == 0:
        client.close()
        read_exactly(server, 100000)
        os.kill(os.getpid(), signal.SIGKILL)
    server.close()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def write():
        while True:
            client.sendall(b"x" * 10000)

    outcome = attempt(write)
    note("writer", outcome in ("EPIPE", "ECONNRESET"))
    os.waitpid(child, 0)


def shut_both_ways(client, server):
    """An end that will neither read nor write answers what still comes by a reset, though it is open."""
    server.shutdown(socket.SHUT_RDWR)
    note("end", client.recv(10).decode())
    note("send", attempt(lambda: client.send(b"x" * 100)))
    poll = select.poll()
    poll.register(client, 0)
    note("hung up", [event for _, event in poll.poll(20000)])
    note("send", attempt(lambda: client.send(b"x" * 100)))


def shut_to_read(client, server):
    server.shutdown(socket.SHUT_RD)
    client.sendall(b"still read")
    note("read", read_exactly(server, 10).decode())
    note("end", server.recv(10).decode())
    server.sendall(b"answer")
    note("read", read_exactly(client, 6).decode())


def peek_one(client, server):
    """As clients look whether a connection that was kept still stands."""
    server.setblocking(False)
    note("nothing", attempt(lambda: server.recv(1, socket.MSG_PEEK)))
    client.sendall(b"something")
    select.select([server], [], [], 60)
    note("peeked", server.recv(1, socket.MSG_PEEK).decode())
    server.settimeout(60)
    note("read", read_exactly(server, 9).decode())
    client.close()
    note("wait", wait_for_end(server))
    note("end", server.recv(1, socket.MSG_PEEK).decode())


def peek_far(client, server):
    """A reader that peeks until a whole record is there, which comes in two parts."""
    part = 40000
    for parts in (1, 2):
        client.sendall(pattern(part, parts))
        until = time.monotonic() + 10
        while len(data := server.recv(60000, socket.MSG_PEEK)) < min(parts * part, 60000):
            if time.monotonic() > until:
                break
        note("peeked", len(data), digest(data))
    note("read", digest(read_exactly(server, 2 * part)))


def splice_by_sendfile(client, server):
    """sendfile(2) to a pipe reads from a socket."""
    reader, writer = os.pipe()
    server.setblocking(True)
    for text in (b"first", b"second", b"third"):
        client.sendall(text)
        select.select([server], [], [], 60)
        count = ring.checked(ring.libc.sendfile(writer, server.fileno(), None, len(text)))
        note("moved", os.read(reader, count).decode())


def blocking_receive(client, server):
    server.setblocking(True)
    # What excludes is a receive that has ended: before another message is sent.
    client.sendall(b"first")
    note("read", read_exactly(server, 5).decode())
    data = pattern(1 << 20)
    together(
        lambda: [client.sendall(data[at : at + 5000]) for at in range(0, len(data), 5000)],
        lambda: note("read", digest(read_exactly(server, len(data)))),
    )


def zero_copy(client, server):
    """Writes whose memory belongs to the kernel until it says so."""
    client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    data = pattern(50000)
    done = 0
    for turn in range(3):
        note("sent", client.send(data, MSG_ZEROCOPY))
        note("read", digest(read_exactly(server, len(data))))
        while done <= turn:
            poll = select.poll()
            poll.register(client, 0)
            if not poll.poll(20000):
                break
            _, control, _, _ = client.recvmsg(0, 200, socket.MSG_ERRQUEUE)
            # struct sock_extended_err: the first and the last write that are done.
            done = struct.unpack_from("IBBBBII", control[0][2])[6] + 1
        note("done", done)


def tls_in_kernel(client, server):
    """Where the kernel has it: else the same error, short-cut or not."""
    note("option", attempt(lambda: client.setsockopt(socket.SOL_TCP, TCP_ULP, b"tls")))
    exchange(client, server)


def repair(client, server):
    """As a checkpoint does."""
    for sock in (client, server):
        sock.setsockopt(socket.SOL_TCP, TCP_REPAIR, 1)
        sock.setsockopt(socket.SOL_TCP, TCP_REPAIR, -1)
    exchange(client, server)


def peek_offset(client, server):
    server.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 0)
    client.sendall(b"one two three")
    select.select([server], [], [], 60)
    for _ in range(3):
        note("peeked", server.recv(4, socket.MSG_PEEK).decode())
    note("read", read_exactly(server, 13).decode())


def io_uring(client, server):
    for text in (b"first", b"second"):
        note("sent", ring.perform(ring.SEND, client, bytearray(text)))
        select.select([server], [], [], 60)
        buffer = bytearray(100)
        length = ring.perform(ring.RECV, server, buffer)
        note("received", buffer[:length].decode())


def in_queue(client, server):
    """TCP_INQ tells with each receive how much is left."""
    server.setsockopt(socket.SOL_TCP, TCP_INQ, 1)
    client.sendall(b"some bytes")
    select.select([server], [], [], 60)
    data, control, _, _ = server.recvmsg(4, 200)
    note("read", data.decode(), [struct.unpack("i", value)[0] for _, _, value in control])
    note("read", read_exactly(server, 6).decode())


def timestamps(client, server):
    """The kernel begins to note times a while after it was told to, when its worker comes to it."""
    server.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    control = []
    until = time.monotonic() + 60
    while not control and time.monotonic() < until:
        client.sendall(b"when")
        select.select([server], [], [], 60)
        data, control, _, _ = server.recvmsg(10, 200)
    note("read", data.decode(), [(level, kind) for level, kind, _ in control])


def many(client, server):
    """Ten connections at a time."""
    pairs = [connect(sys.argv[2]) for _ in range(10)]
    for pair in pairs:
        warm(*pair)
        exchange(*pair)


def stays(client, server):
    """Used for as long as it is told to be: after SIGUSR1 it asks what waits, after SIGUSR2 it ends."""
    told = []
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda which, _: told.append(which))
    print("begun", flush=True)
    while signal.SIGUSR2 not in told:
        exchange(client, server, noted=False)
        if signal.SIGUSR1 in told:
            fcntl.ioctl(server, termios.FIONREAD, array.array("i", [0]))
        time.sleep(0.01)
    exchange(client, server)


def multipath_server(client, server):
    """A client of plain TCP at an MPTCP server, which Go's are unless told otherwise."""
    exchange(*connect(sys.argv[2], server_protocol=IPPROTO_MPTCP))


def multipath(client, server):
    exchange(*connect(sys.argv[2], IPPROTO_MPTCP, IPPROTO_MPTCP))


def move_to(cgroup):
    roots = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
    root = next(one for one in roots if os.path.exists(f"{one}/cgroup.controllers"))
    with open(f"{root}{cgroup}/cgroup.procs", "w") as processes:
        processes.write(str(os.getpid()))


def inherited(client, server):
    """Options of listeners that were set where nobody saw it."""
    with open("/proc/self/cgroup") as groups:
        own = next(line.strip()[3:] for line in groups if line.startswith("0::"))
    for level, name, value in inheritable:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        move_to("/")
        listener.setsockopt(level, name, value)
        move_to(own)
        listener.listen(1)
        one = socket.create_connection(listener.getsockname(), 60)
        other, _ = listener.accept()
        other.settimeout(60)
        note("option", name, other.getsockopt(level, name) == value)
        exchange(one, other)


def exchange(client, server, noted=True):
    for size in (1, 100, 5000, 30000) * 3:
        data = pattern(size, size)
        client.sendall(data)
        came = read_exactly(server, size)
        server.sendall(came)
        came = read_exactly(client, size)
        if came != data:
            note("wrong", size)
    if noted:
        note("exchanged", digest(came))


# Numbers that Python does not name: include/uapi/asm-generic/{socket,sockios}.h, include/uapi/linux/{tcp,in,fcntl}.h
SO_TIMESTAMP, SO_PEEK_OFF, SO_ZEROCOPY = 29, 42, 60
SO_TIMESTAMPS = {"SO_TIMESTAMPNS": 35, "SO_TIMESTAMPING": 37, "SO_TIMESTAMP_NEW": 63, "SO_TIMESTAMPNS_NEW": 64}
MSG_ZEROCOPY = 0x4000000
TCP_REPAIR, TCP_ULP, TCP_ZEROCOPY_RECEIVE, TCP_INQ = 19, 31, 35, 36
FIOSETOWN, SIOCSPGRP, SIOCATMARK = 0x8901, 0x8902, 0x8905
F_SETOWN_EX = 15
IPPROTO_MPTCP = 262
inheritable = [
    *((socket.SOL_SOCKET, name, 1) for name in (SO_TIMESTAMP, 35, SO_ZEROCOPY, socket.SO_OOBINLINE)),
    (socket.SOL_SOCKET, SO_PEEK_OFF, 0),
    (socket.SOL_TCP, TCP_INQ, 1),
]


def set_option(level, name, value=1):
    return lambda client, server: server.setsockopt(level, name, value)


def receive(how, flags):
    """Of what is not there."""

    def use(client, server):
        server.setblocking(False)
        return how(server, flags)

    return use


def by_ioctl(name):
    return lambda client, server: fcntl.ioctl(server, name, struct.pack("i", os.getpid()))


def zero_copy_receive(client, server):
    size = ctypes.c_uint(64)
    buffer = ctypes.create_string_buffer(64)
    arguments = (socket.SOL_TCP, TCP_ZEROCOPY_RECEIVE, buffer, ctypes.byref(size))
    ring.checked(ring.libc.getsockopt(server.fileno(), *arguments))


# Each by itself excludes a container.
calls = {
    "FIONREAD": by_ioctl(termios.FIONREAD),
    "SIOCATMARK": by_ioctl(SIOCATMARK),
    "FIOSETOWN": by_ioctl(FIOSETOWN),
    "SIOCSPGRP": by_ioctl(SIOCSPGRP),
    "TCP_INQ": set_option(socket.SOL_TCP, TCP_INQ),
    "TCP_ZEROCOPY_RECEIVE": zero_copy_receive,
    "SO_RCVLOWAT": set_option(socket.SOL_SOCKET, socket.SO_RCVLOWAT),
    "SO_OOBINLINE": set_option(socket.SOL_SOCKET, socket.SO_OOBINLINE),
    "F_SETOWN": lambda _, server: fcntl.fcntl(server, fcntl.F_SETOWN, os.getpid()),
    "F_SETOWN_EX": lambda _, server: fcntl.fcntl(server, F_SETOWN_EX, struct.pack("ii", 1, os.getpid())),
    "recv MSG_WAITALL": receive(lambda server, flags: server.recv(1, flags), socket.MSG_WAITALL),
    "recvmsg MSG_WAITALL": receive(lambda server, flags: server.recvmsg(1, 0, flags), socket.MSG_WAITALL),
    "recvmmsg MSG_WAITALL": receive(
        lambda server, flags: ring.checked(ring.libc.recvmmsg(server.fileno(), None, 0, flags, None)),
        socket.MSG_WAITALL,
    ),
    "recv MSG_TRUNC": receive(lambda server, flags: server.recv(1, flags), socket.MSG_TRUNC),
    "recv MSG_OOB": receive(lambda server, flags: server.recv(1, flags), socket.MSG_OOB),
    "send MSG_OOB": lambda client, _: client.send(b"x", socket.MSG_OOB),
    "sendmsg MSG_OOB": lambda client, _: client.sendmsg([b"x"], [], socket.MSG_OOB),
    "sendmmsg MSG_OOB": lambda client, _: ring.checked(
        ring.libc.sendmmsg(client.fileno(), None, 0, socket.MSG_OOB)
    ),
    "SO_ZEROCOPY": set_option(socket.SOL_SOCKET, SO_ZEROCOPY),
    "TCP_ULP": set_option(socket.SOL_TCP, TCP_ULP, b"tls"),
    "TCP_REPAIR": set_option(socket.SOL_TCP, TCP_REPAIR, -1),
    "SO_PEEK_OFF": set_option(socket.SOL_SOCKET, SO_PEEK_OFF, 0),
    "SO_TIMESTAMP": set_option(socket.SOL_SOCKET, SO_TIMESTAMP),
    **{name: set_option(socket.SOL_SOCKET, number) for name, number in SO_TIMESTAMPS.items()},
    "SO_TIMESTAMPING_NEW": set_option(socket.SOL_SOCKET, 65),
    "io_uring SEND": lambda client, _: ring.perform(ring.SEND, client, bytearray(b"x")),
}


def call(name):
    """One call, before connections that would be short-cut otherwise."""

    def use(client, server):
        attempt(lambda: calls[name](client, server))
        exchange(*connect(sys.argv[2]))

    return use


cases = {name: value for name, value in globals().items() if callable(value)}
cases |= {name: call(name) for name in calls}


# Calls that exclude a container. They are made on another connection first, as a program makes them from its start.
excluding = {
    *("fionread", "splice", "urgent", "urgent_inline", "wait_all", "truncate", "peek", "peek_far"),
    *("splice_by_sendfile", "blocking_receive", "zero_copy", "tls_in_kernel", "repair", "peek_offset"),
    *("io_uring", "in_queue", "timestamps"),
}


def main():
    name, family = sys.argv[1:3]
    if name in excluding:
        # This one matters on connections that were read from before.
        cases["peek" if name == "peek_far" else name](*connect(family))
        seen.clear()
    client, server = connect(family)
    warm(client, server)
    cases[name](client, server)
    print(json.dumps(seen))


main()
