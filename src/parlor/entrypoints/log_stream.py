"""Lines on their way to stderr: a thread writes what has gathered, so that no request waits for whoever reads them."""

import atexit
import os
import select
import threading
import time
from collections import deque

import orjson

GATHER_S = 0.01
MOST_BYTES = 16 * 1024 * 1024
AT_ONCE = 256
FAREWELL_S = 2.0


class LogStream:
    """A file to loggers. Writing never waits and never fails.

    A line is written within about 10 ms, and at the end of the process all are, for 2 s at most; a process that is
    killed loses those 10 ms. A reader who takes nothing costs 16 MiB at most: what comes then is dropped, and
    counted in a line once there is room.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._awake = False
        self._ending = False
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="log", daemon=True)

    def start(self) -> None:
        """Begin to write, until the process ends."""
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: bytes) -> int:
        """Take lines, whole ones."""
        if self._bytes > MOST_BYTES:
            self._dropped += 1
            return 0
        self._lines.append(line)
        self._bytes += len(line)
        if not self._awake:
            self._awake = True
            self._wanted.set()
        return len(line)

    def flush(self) -> None:
        """Do nothing: loggers ask for it after each line."""

    def close(self) -> None:
        """Write what is left, within 2 s."""
        self._ending = True
        self._wanted.set()
        self._thread.join(FAREWELL_S)

    def _keep_writing(self) -> None:
        while not self._ending or self._lines:
            self._wanted.wait()
            self._wanted.clear()
            if not self._ending:
                time.sleep(GATHER_S)
            self._awake = False
            while self._lines:
                self._write_some()

    def _write_some(self) -> None:
        some = [self._lines.popleft() for _ in range(min(AT_ONCE, len(self._lines)))]
        if self._dropped:
            lost, self._dropped = self._dropped, 0
            told = {"event": "log_lines_dropped", "lines": lost, "level": "warning"}
            some.append(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
        written = b"".join(some)
        self._put(written)
        self._bytes = max(0, self._bytes - len(written))

    def _put(self, lines: bytes) -> None:
        while lines:
            try:
                lines = lines[os.write(self._fd, lines) :]
            except BlockingIOError:  # whoever started us has made it so
                select.select([], [self._fd], [], 1.0)
            except OSError:
                return  # nobody reads them any more


class LogText:
    """The same for loggers that write text."""

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Take a line."""
        return self._stream.write(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Do nothing."""
