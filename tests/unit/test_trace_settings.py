"""Where traces go, as OpenTelemetry's variables say it; and that without one nothing of it is there."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from parlor.config import BadSettings
from parlor.container import make_container
from tests.fakes.container import settings_for_tests
from tests.unit.test_container import SERVERS

BASE, WHOLE = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ({}, None),
        ({BASE: ""}, None),
        ({BASE: "http://c:4318"}, "http://c:4318/v1/traces"),
        ({BASE: "http://c:4318/otlp/"}, "http://c:4318/otlp/v1/traces"),
        ({WHOLE: "https://c/spans"}, "https://c/spans"),
        ({BASE: "http://c:4318", WHOLE: "https://c/spans"}, "https://c/spans"),
        ({BASE: "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({BASE: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
    ids=["unset", "empty", "base", "path", "whole", "both", "disabled", "none"],
)
def test_traces_go_where_the_specification_says(given: dict[str, str], endpoint: str | None) -> None:
    settings = settings_for_tests(**given)
    assert settings.traces_endpoint == endpoint
    assert (make_container(settings_for_tests(**SERVERS, **given)).tracer is None) is (endpoint is None)


@pytest.mark.parametrize(
    "given",
    [
        {BASE: "collector:4317"},
        {WHOLE: "grpc://collector"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_TRACES_SAMPLER": "sometimes"},
        {"OTEL_TRACES_SAMPLER_ARG": "2"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_cannot_be_done_is_refused_by_its_name(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="OTEL_"):
        settings_for_tests(**given)


def test_headers_are_read_as_the_specification_has_them() -> None:
    good = {BASE: "http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, tenant = a=b"}
    assert make_container(settings_for_tests(**SERVERS, **good)).tracer is not None
    bad = good | {"OTEL_EXPORTER_OTLP_HEADERS": "very-secret"}
    with pytest.raises(BadSettings, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        make_container(settings_for_tests(**SERVERS, **bad))
    assert "secret" not in str(refused.value)


def test_who_exports_no_traces_loads_none_of_it() -> None:
    """In a process of its own: other tests have loaded it in this one. The SDK's metrics are loaded by redis-py."""
    code = (
        "import sys, parlor.entrypoints.cli, parlor.entrypoints.consume_worker.main\n"
        "print(*(name for name in sys.modules if name.startswith(('opentelemetry.sdk.trace',"
        " 'opentelemetry.exporter', 'google.protobuf', 'requests'))))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
