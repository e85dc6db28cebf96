"""A virtual environment beside ours, for the peers and the plots: Parlor does not depend on them."""

import asyncio
import json
import sys
from pathlib import Path

from benchmarks.stage import ROOT

FOLDER = ROOT / ".bench" / "venv"
PYTHON = str(FOLDER / "bin" / "python")
WANTED = ROOT / "benchmarks" / "peers" / "requirements.txt"
INSTALLED = FOLDER / "installed.txt"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")


async def ready() -> None:
    """Make it, the first time and when the list has changed; raises RuntimeError where that fails."""
    wanted = WANTED.read_text()
    if INSTALLED.exists() and INSTALLED.read_text() == wanted:
        return
    print(
        f"installing the peers into {FOLDER.relative_to(ROOT)}: a minute, once", file=sys.stderr, flush=True
    )
    await _run(sys.executable, "-m", "venv", "--clear", str(FOLDER))
    await _run(PYTHON, *PIP, "install", "-q", "-r", str(WANTED))
    INSTALLED.write_text(wanted)


async def versions() -> dict[str, str]:
    """Answer what is installed."""
    listed = json.loads(await _run(PYTHON, *PIP, "list", "--format", "json"))
    return {package["name"]: package["version"] for package in listed}


async def draw(folder: Path) -> None:
    """Draw the plots of the results that are there."""
    await _run(PYTHON, str(ROOT / "benchmarks" / "plot.py"), str(folder))


async def _run(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv[1:4])}: {complaint.decode()[-2000:]}")
    return told.decode()
