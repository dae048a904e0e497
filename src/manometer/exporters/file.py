"""The file exporter: reports as JSON lines in a file of bounded size, for questions asked later."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, Final, final

from .. import _limits
from .._line import to_json
from . import _event, _record

if TYPE_CHECKING:
    from .._config import Config
    from .._finding import Report, Status

DEFAULT_PATH: Final = "manometer.jsonl"
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_APPEND
    | getattr(os, "O_NOFOLLOW", 0)  # a link in a shared folder must not lead us to another file
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a reader must not hold the thread
)


@final
class FileExporter:
    """Appends one JSON object a line: each unit of work with its findings and callsites, and each heartbeat.

    Several processes may write to the same file: each line is one write. At `file_max_bytes` the file
    is renamed to `NAME.1`, whose earlier content is lost, so that at most twice that size is on disk.

    Args:
        config: Supplies `file_path` and `file_max_bytes`.

    Background thread only. Failures raise, and are counted by whoever calls.
    """

    def __init__(self, config: Config) -> None:
        self._path = os.path.abspath(config.file_path or DEFAULT_PATH)
        self._max_bytes = config.file_max_bytes
        self._file: int | None = None

    def export(self, report: Report) -> None:
        """Write one report; blocks as long as the disk does.

        Raises:
            OSError: It cannot be written, or the path is no regular file of ours.
        """
        self._write(_record.report(report))

    def heartbeat(self, status: Status) -> None:
        """Write how manometer itself is doing.

        Raises:
            OSError: It cannot be written.
        """
        self._write(_event.fit(_event.up(status), _limits.MAX_RECORD_BYTES))

    def shutdown(self) -> None:
        """Close the file."""
        self._close()

    def _write(self, record: dict[str, Any]) -> None:
        line = to_json(record).encode("ascii") + b"\n"
        file = self._open(len(line))
        written = os.write(file, line)
        if written != len(line):
            os.write(file, b"\n")  # a torn line ends here: the next one is whole
            msg = f"only {written} of {len(line)} bytes could be written"
            raise OSError(msg)

    def _open(self, more: int) -> int:
        file = self._file
        if file is not None and not self._is_ours(file):
            self._close()
            file = None
        if file is None:
            file = self._file = _open(self._path)
        if os.fstat(file).st_size + more > self._max_bytes:
            os.replace(self._path, f"{self._path}.1")
            self._close()
            file = self._file = _open(self._path)
        return file

    def _is_ours(self, file: int) -> bool:
        """Whether the path still leads to the open file: another process, or a person, may have moved it."""
        try:
            return os.path.samestat(os.fstat(file), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _open(path: str) -> int:
    file = os.open(path, _FLAGS, 0o600)
    try:
        known = os.fstat(file)
        if not stat.S_ISREG(known.st_mode):
            msg = f"{path} is no regular file"
            raise OSError(msg)
        if known.st_mode & 0o077 and hasattr(os, "fchmod"):
            os.fchmod(file, 0o600)
    except OSError:
        os.close(file)
        raise
    return file
