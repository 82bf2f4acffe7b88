"""A TCP proxy between a run and a service, which can be cut and joined again."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Hands on every connection to a service, until it is cut.

    Args:
        host: Of the service.
        port: Of the service.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.cut_off = False
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self.cut_off = True
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def join(self) -> None:
        """Hand on again."""
        self.cut_off = False

    def end(self) -> None:
        """Stop for good."""
        self.cut()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.cut_off:
                client.close()
                continue
            service = socket.create_connection(self.target)
            self._open += [client, service]
            for one, other in ((client, service), (service, client)):
                threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    @staticmethod
    def _hand_on(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
