"""The meters as a page that Prometheus reads, in its own text format or as OpenMetrics.

The library tells about the process. Our own lines are written here: with its writer a page of 2,000 lines holds up
every request of the process for 20 ms, with this one for 1 ms. The format is chosen here, too: the library's choice
fails over a version that is none, and promises every version that it is asked for.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics.exposition import (
    CONTENT_TYPE_LATEST as CONTENT_TYPE_OPEN,
    generate_latest as generate_open,
)
from prometheus_client.registry import CollectorRegistry

from parlor.adapters.surveys import Surveys
from parlor.core.shared.meters import Labels, Meter, Meters, Tally, Timing, WrittenMeters

TOTAL = "_total"
OPEN = "application/openmetrics-text"


class PrometheusPage:
    """Port MetersPage: one registry a process, and nothing that two of them in one interpreter would share."""

    def __init__(self, meters: Meters, surveys: Surveys) -> None:
        self._meters = meters
        self._surveys = surveys
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self._heads: dict[tuple[str, Labels], list[str]] = {}

    async def written(self, accept: str | None) -> WrittenMeters:
        """Write them as they are now."""
        await self._surveys.fresh()
        is_open = OPEN in (accept or "").lower()
        ours = "".join(line for meter in self._meters.all() for line in self._lines(meter, is_open=is_open))
        if is_open:
            told: bytes = generate_open(self._process)  # type: ignore[no-untyped-call]  # the library's own gap
            return WrittenMeters(ours.encode() + told, CONTENT_TYPE_OPEN)
        return WrittenMeters(ours.encode() + generate_latest(self._process), CONTENT_TYPE_PLAIN_0_0_4)

    def _lines(self, meter: Meter, *, is_open: bool) -> Iterator[str]:
        # In OpenMetrics a counter's family lacks the suffix that its samples have.
        name = meter.name.removesuffix(TOTAL) if is_open else meter.name
        yield f"# HELP {name} {_escaped(meter.told)}\n# TYPE {name} {_type(meter)}\n"
        if isinstance(meter, Timing):
            yield from self._spreads(meter)
        else:
            for values, value in meter.readings().items():
                (head,) = self._head(meter, values, [meter.name])
                yield f"{head}{value!r}\n"

    def _spreads(self, meter: Timing) -> Iterator[str]:
        bounds = [*map(repr, map(float, meter.bounds)), "+Inf"]
        names = [f"{meter.name}_bucket"] * len(bounds) + [f"{meter.name}_count", f"{meter.name}_sum"]
        for values, spread in meter.spreads():
            upto = list(accumulate(spread.counts))
            heads = self._head(meter, values, names, bounds)
            numbers = (*upto, upto[-1], spread.total_s)
            yield "".join([f"{head}{number!r}\n" for head, number in zip(heads, numbers, strict=True)])

    def _head(self, meter: Meter, values: Labels, names: list[str], bounds: Iterable[str] = ()) -> list[str]:
        """Write what stands before the numbers, once: each meter has so many cells at most."""
        heads = self._heads.get((meter.name, values))
        if heads is None:
            pairs = [
                f'{label}="{_escaped(value, quoted=True)}"'
                for label, value in zip(meter.labels, values, strict=True)
            ]
            more = [*([f'le="{bound}"'] for bound in bounds)]
            more += [[]] * (len(names) - len(more))
            heads = self._heads[meter.name, values] = [
                name + _braced([*pairs, *one]) + " " for name, one in zip(names, more, strict=True)
            ]
        return heads


def _braced(pairs: list[str]) -> str:
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _type(meter: Meter) -> str:
    return {Tally: "counter", Timing: "histogram"}.get(type(meter), "gauge")


def _escaped(text: str, *, quoted: bool = False) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace('"', r"\"") if quoted else escaped
