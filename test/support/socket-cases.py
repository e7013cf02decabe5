"""One way to use a TCP connection, and what both ends saw: `socket-cases.py CASE FAMILY`, FAMILY being v4, v6 or mapped.

Prints a JSON list of what happened, which is the same on every machine: a test compares it with and without something
in between. Every case first exchanges some messages, so that whatever watches the connection has begun.
"""

import array
import errno
import fcntl
import hashlib
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import termios
import threading

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


def connect(family):
    """A connected pair: client, server."""
    host = {"v4": "127.0.0.1", "v6": "::1", "mapped": "::ffff:127.0.0.1"}[family]
    kind = socket.AF_INET if family == "v4" else socket.AF_INET6
    listener = socket.socket(kind, socket.SOCK_STREAM)
    # A mapped server takes IPv4 clients: one family at one end, the other at the other.
    listener.bind(("::" if family == "mapped" else host, 0))
    listener.listen(8)
    client = socket.socket(socket.AF_INET if family == "mapped" else kind, socket.SOCK_STREAM)
    client.connect(("127.0.0.1" if family == "mapped" else host, listener.getsockname()[1]))
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
            break
    note("writer had to wait", 0 < sent < len(data))
    note("not writable", select.select([], [client], [], 0.2)[1])
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


cases = {name: value for name, value in globals().items() if callable(value)}


# Calls that exclude a container. They are made on another connection first, as a program makes them from its start.
excluding = {"fionread", "splice", "urgent", "urgent_inline", "wait_all", "truncate"}


def main():
    name, family = sys.argv[1:3]
    if name in excluding:
        cases[name](*connect(family))
        seen.clear()
    client, server = connect(family)
    warm(client, server)
    cases[name](client, server)
    print(json.dumps(seen))


main()
