"""The least of io_uring: one operation on a socket, and its result."""

import ctypes
import mmap
import os
import struct

libc = ctypes.CDLL(None, use_errno=True)
# The same numbers on every architecture: include/uapi/asm-generic/unistd.h.
SETUP, ENTER = 425, 426
# include/uapi/linux/io_uring.h
SEND, RECV = 26, 27
OFFSET_OF_REQUESTS = 0x10000000
GET_EVENTS = 1


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def perform(opcode, sock, buffer):
    """Sends `buffer`, or receives into it; gives the number of bytes."""
    parameters = ctypes.create_string_buffer(120)
    ring = checked(libc.syscall(SETUP, 1, parameters))
    words = struct.unpack_from("30I", parameters.raw)
    tail, array = words[10 + 1], words[10 + 6]
    completions = words[20 + 5]
    with (
        mmap.mmap(ring, completions + 16 * words[1] + 4096) as shared,
        mmap.mmap(ring, 64, offset=OFFSET_OF_REQUESTS) as requests,
    ):
        memory = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        request = struct.pack(
            "BBHiQQIIQ", opcode, 0, 0, sock.fileno(), 0, ctypes.addressof(memory), len(buffer), 0, 1
        )
        requests[: len(request)] = request
        struct.pack_into("I", shared, array, 0)
        struct.pack_into("I", shared, tail, 1)
        checked(libc.syscall(ENTER, ring, 1, 1, GET_EVENTS, None, 0))
        _, result, _ = struct.unpack_from("QiI", shared, completions)
    os.close(ring)
    return result
