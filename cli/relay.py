"""A TCP relay on the loopback interface that can be slow, deaf or rude: faults of a network, on request."""

import asyncio
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Self

from lockstream.kafka.broker.ports import LOOPBACK

CHUNK = 1 << 14  # bytes: small, so that a limit holds over short times too
READ_AHEAD = 64  # chunks
LOOK_SECONDS = 0.02
UNLIMITED = float("inf")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: close(2) sends a reset


class Relay:
    """Passes on what comes to a port of its own; a context manager, with a thread inside.

    Parameters
    ----------
    target
        Port that it leads to.

    Attributes
    ----------
    bytes_per_second
        Bound on what all connections pass on together, in each direction; infinite at first.
    delay
        Seconds by which each chunk is late.
    is_hole
        Whether nothing gets through; the connections stay.
    """

    def __init__(self, target: int) -> None:
        self.bytes_per_second, self.delay, self.is_hole = UNLIMITED, 0.0, False
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._free_at = {False: 0.0, True: 0.0}  # when the line is free again, by direction
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name="lockstream-relay", daemon=True
        )

    def reset(self) -> None:
        """Tear all connections down at once, as a firewall does that has forgotten them."""
        self._loop.call_soon_threadsafe(self._reset)

    def heal(self) -> None:
        """Pass everything on again."""
        self.bytes_per_second, self.delay, self.is_hole = UNLIMITED, 0.0, False

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._serve, sock=self._listener):
            self._started.set()
            await self._ended.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.transport.abort()  # nobody is there: refused, as without a relay
            return
        pair = {writer, there_writer}
        self._writers |= pair
        try:
            with suppress(asyncio.CancelledError):  # at the end of all; what called this would complain of it
                await asyncio.gather(
                    self._pass_on(reader, there_writer, is_inward=True),
                    self._pass_on(there_reader, writer, is_inward=False),
                )
        finally:
            self._writers -= pair
            for end in pair:
                end.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_inward: bool
    ) -> None:
        """Read ahead, within bounds, so that a delay does not bound the rate."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(READ_AHEAD)
        writing = asyncio.create_task(self._write(chunks, writer, is_inward))
        try:
            chunk = b"first"
            while chunk:
                with suppress(OSError):
                    chunk = b""
                    chunk = await reader.read(CHUNK)
                await chunks.put((time.monotonic() + self.delay, chunk))
            await writing
        finally:
            writing.cancel()

    async def _write(
        self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, is_inward: bool
    ) -> None:
        due, chunk = await chunks.get()
        while chunk:
            await asyncio.sleep(due - time.monotonic())
            await self._hold_up(len(chunk), is_inward)
            with suppress(OSError):
                if (
                    not writer.is_closing()
                ):  # else the other end has gone: what still comes for it is nobody's
                    writer.write(chunk)
                    await writer.drain()
            due, chunk = await chunks.get()
        with suppress(OSError, RuntimeError):
            writer.write_eof()  # the other direction goes on for as long as it likes

    async def _hold_up(self, nbytes: int, is_inward: bool) -> None:
        while self.is_hole:
            await asyncio.sleep(LOOK_SECONDS)
        free_at = max(time.monotonic(), self._free_at[is_inward]) + nbytes / self.bytes_per_second
        self._free_at[is_inward] = free_at
        while self.bytes_per_second < UNLIMITED and (wait := free_at - time.monotonic()) > 0:
            await asyncio.sleep(min(wait, LOOK_SECONDS))

    def _reset(self) -> None:
        for writer in list(self._writers):
            connection = writer.get_extra_info("socket")
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
