"""A message broker of plain files, for one machine and no server: kombu's own, with its races taken out.

kombu's file-system transport writes a message into its final name in place, so that a reader may find half of it (or
nothing) and die of it; it moves messages through the system's temporary folder, which is not atomic when that is
another file system; and it rewrites its routing tables in place. Here everything appears by rename, under one lock
where it is read first.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual

SCHEME = "files"
TRANSPORT_ALIASES[SCHEME] = "workers.filebroker:Transport"  # kombu takes no module's path from a URL
FOLDERS = ("messages", "taken", "control")


def make_folders(root: Path) -> dict[str, str]:
    """Make the broker's folders under ``root``; returns kombu's transport options that name them."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(root / "messages"),
        "data_folder_out": str(root / "messages"),
        "processed_folder": str(root / "taken"),
        "control_folder": str(root / "control"),
    }


class Channel(filesystem.Channel):
    """Queues as files named ``<time>_<uuid>.<queue>.msg``, oldest first."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override] # its bases differ
        # Wall-clock time: the monotonic clock starts anew at boot, and messages outlive that.
        path = Path(self.data_folder_out) / f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        try:
            _appear(path, json.dumps(payload))
        except OSError as error:
            raise ChannelError(f"The broker's folder {path.parent} can't be written to: {error}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        ending = f"{queue}.msg"
        for name in sorted(os.listdir(self.data_folder_in)):  # noqa: PTH208 - called ten times a second: no Path each
            if name.partition(".")[2] != ending:
                continue
            taken = Path(self.processed_folder) / name
            try:
                (Path(self.data_folder_in) / name).rename(taken)
            except FileNotFoundError:
                continue  # another worker was faster
            try:
                return json.loads(taken.read_bytes())
            except ValueError:
                continue  # cut short by a power failure: the sweeper sends another
            finally:
                taken.unlink(missing_ok=True)
        raise Empty

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:
        """The queues bound to an exchange."""
        try:
            rows = json.loads(self._exchange_file(exchange).read_bytes())
        except (FileNotFoundError, ValueError):
            return []
        return [filesystem.exchange_queue_t(*row) for row in rows]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        if row in self.get_table(exchange):
            return
        with self._locked():
            rows = self.get_table(exchange)
            if row not in rows:
                _appear(self._exchange_file(exchange), json.dumps([row, *rows]))

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any) -> None:
        virtual.Channel._delete(self, queue, *args, **kwargs)  # noqa: SLF001 - kombu's own way to extend it
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._locked():
            rows = self.get_table(exchange)
            if row in rows:
                rows.remove(row)
                _appear(self._exchange_file(exchange), json.dumps(rows))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.control_folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Transport(filesystem.Transport):
    """The broker of the URL ``files://``."""

    Channel = Channel


def _appear(path: Path, text: str) -> None:
    """Write a file that no one ever sees half of."""
    draft = path.with_name(f".{uuid.uuid4().hex}")
    try:
        draft.write_text(text)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
