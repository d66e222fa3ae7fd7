"""A guard at the door: no test talks to anything but this machine."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any


class OutsideTheMachine(RuntimeError):
    """A test tried to reach another host."""


def _is_loopback(host: object) -> bool:
    if host in {"", "localhost", None}:
        return True
    try:
        return ipaddress.ip_address(str(host).split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return False


def _check(sock: socket.socket, address: Any) -> None:
    if sock.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
        raise OutsideTheMachine(f"A test may only reach loopback, not {address[0]}:{address[1]}.")


def only_loopback() -> None:
    """Hold ``connect``, ``sendto`` and name look-ups of this process to loopback, for the rest of its life."""
    connect, connect_ex, sendto, getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.socket.sendto,
        socket.getaddrinfo,
    )

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _check(self, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _check(self, address)
        return connect_ex(self, address)

    def guarded_sendto(self: socket.socket, data: Any, *args: Any) -> int:
        _check(self, args[-1])
        return sendto(self, data, *args)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not _is_loopback(name) and name != socket.gethostname():
            raise OutsideTheMachine(f"A test may only reach loopback; it asked for the address of {name!r}.")
        return getaddrinfo(host, *args, **kwargs)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign]
    socket.socket.sendto = guarded_sendto  # type: ignore[method-assign,assignment]
    socket.getaddrinfo = guarded_getaddrinfo
