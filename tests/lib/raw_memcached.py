"""What a memcached on a unix socket answers, asked without libmemcached."""
import socket

ENDS = b"END\r\n", b"DELETED\r\n", b"NOT_FOUND\r\n"


def ask(path, command):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(command.encode() + b"\r\n")
        answer = b""
        while not answer.endswith(ENDS):
            some = connection.recv(65536)
            if not some:
                raise ConnectionError("memcached closed the connection")
            answer += some
    return answer.decode()


def stats(path):
    """Numbers and texts by name, all as texts."""
    return dict(line.split(" ", 2)[1:] for line in ask(path, "stats").splitlines() if line != "END")
