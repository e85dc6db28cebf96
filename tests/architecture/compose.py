"""Reading docker-compose.yml and the Dockerfile as Docker does, as far as they need it."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.architecture.source import ROOT

VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+):-(?P<default>[^{}]*)\}")


def services(given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read the services, with variables that are not given at their defaults."""
    text = VARIABLE.sub(
        lambda found: (given or {}).get(found["name"]) or found["default"],
        (ROOT / "docker-compose.yml").read_text(),
    )
    assert "${" not in text
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def dockerfile(instruction: str) -> list[str]:
    """Find the arguments of an instruction, each time it stands in the last stage."""
    last_stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", "")
    return re.findall(rf"^{instruction} (.+)$", last_stage, re.MULTILINE)


def entrypoint() -> list[str]:
    """Read what every command of the image is given to."""
    (line,) = dockerfile("ENTRYPOINT")
    words: list[str] = json.loads(line)
    return words


def health_check() -> list[str]:
    """Read the command that tells whether a container is healthy."""
    (line,) = dockerfile("HEALTHCHECK")
    words: list[str] = json.loads(line.partition("CMD ")[2])
    return words


def image_environment() -> dict[str, str]:
    """Read what the image sets."""
    return dict(pair.split("=", 1) for line in dockerfile("ENV") for pair in line.split())
