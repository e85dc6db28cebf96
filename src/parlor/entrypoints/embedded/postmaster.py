"""What `postmaster.pid` tells about a server that runs, or ran, in a cluster."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

STATUS_LINE = 7
PATIENCE_S = 60.0
POLL_S = 0.01


def is_ready(cluster: Path, pid: int) -> bool:
    """Tell whether this very process takes connections: what `pg_ctl` waits for, too."""
    lines = _lines(cluster)
    return len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == "ready"


def end_leftover(cluster: Path) -> int | None:
    """Stop the server that an earlier life left running.

    Answers with the process number that is still in the file. It is nobody's now, or that of a
    stranger who was given it since, which PostgreSQL alone could not tell from a running server.
    """
    pid = _holder(cluster)
    deadline = time.monotonic() + PATIENCE_S
    while pid is not None and _serves(pid, cluster):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid}, an earlier PostgreSQL, does not stop")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        time.sleep(POLL_S)
    return _holder(cluster)


def _lines(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def _holder(cluster: Path) -> int | None:
    lines = _lines(cluster)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _serves(pid: int, cluster: Path) -> bool:
    arguments = _arguments(pid)
    return f"-D {cluster} " in arguments and "postgres" in arguments


def _arguments(pid: int) -> str:
    """Read how a process was called: readable also where its folders are not, and empty for a zombie."""
    if not Path("/proc/self/cmdline").exists():
        return subprocess.run(  # noqa: S603 - a number
            ["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", errors="replace").replace("\0", " ")
    return ""
