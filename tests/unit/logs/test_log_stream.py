"""The thread behind stderr: whoever logs never waits, and nothing is lost that there is room for."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import orjson
import pytest

from parlor.entrypoints import log_stream
from parlor.entrypoints.log_stream import LogStream, LogText


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def all_of(end: int) -> bytes:
    read = b""
    while piece := os.read(end, 65_536):
        read += piece
    return read


def test_lines_come_in_their_order_and_whole(pipe: tuple[int, int]) -> None:
    taken, given = pipe
    stream, read = LogStream(given), bytearray()
    reader = threading.Thread(target=lambda: read.extend(all_of(taken)))
    reader.start()
    stream.start()
    wanted = [b"%d %s\n" % (number, b"x" * (number % 500)) for number in range(3000)]
    for line in wanted:
        assert stream.write(line) == len(line)
    stream.close()
    os.close(given)
    reader.join()
    assert bytes(read) == b"".join(wanted)


def test_text_goes_the_same_way(pipe: tuple[int, int]) -> None:
    taken, given = pipe
    stream = LogStream(given)
    stream.start()
    LogText(stream).write("half a character: \ud800\n")
    stream.close()
    assert os.read(taken, 100) == b"half a character: \\ud800\n"


def test_a_reader_who_takes_nothing_costs_lines_and_no_time(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is dropped; how much that was is said once it fits again."""
    monkeypatch.setattr(log_stream, "MOST_BYTES", 200_000)
    monkeypatch.setattr(log_stream, "FAREWELL_S", 0.01)
    taken, given = pipe
    stream, line = LogStream(given), b"x" * 999 + b"\n"
    stream.start()
    written = [stream.write(line) for _ in range(1000)]
    assert 0 < written.count(0) < 1000
    assert written[0] == len(line)
    stream.close()  # nobody reads: it is not waited for
    read, told = b"", b""
    while b"log_lines_dropped" not in told:
        read += os.read(taken, 65_536)
        told = read.rpartition(b"\n")[0].rpartition(b"\n")[2]
    assert orjson.loads(told) == {
        "event": "log_lines_dropped",
        "lines": written.count(0),
        "level": "warning",
    }


def test_a_reader_who_has_gone_is_no_error(pipe: tuple[int, int]) -> None:
    taken, given = pipe
    os.close(taken)
    stream = LogStream(given)
    stream.start()
    stream.write(b"to nobody\n")
    stream.close()
    assert not stream._thread.is_alive()


def test_a_stderr_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    """Node makes its children's pipes so."""
    taken, given = pipe
    os.set_blocking(given, False)
    stream, read = LogStream(given), bytearray()
    stream.start()
    for _ in range(300):
        stream.write(b"x" * 999 + b"\n")
    reader = threading.Thread(target=lambda: read.extend(all_of(taken)))
    reader.start()
    stream.close()
    os.close(given)
    reader.join()
    assert len(read) == 300_000
