#!/usr/bin/python3
"""Brings the loopback interface up where it is down, as in a new network namespace."""
import fcntl
import socket
import struct
import sys

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        if flags & IFF_UP:
            return 0
        try:
            request = struct.pack("16sh14x", b"lo", flags | IFF_UP)
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)
        except PermissionError:
            print("the loopback interface is down, and the tests need it", file=sys.stderr)
            return 1
    return 0


sys.exit(main())
