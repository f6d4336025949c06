"""The text that Prometheus reads, version 0.0.4 of its format (prometheus.io, "Exposition formats")."""

from collections.abc import Iterator, Mapping, Sequence

from ._families import Family, families
from ._watched import Servers, Watched

__all__ = ("CONTENT_TYPE", "metrics_text", "write")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(servers: Servers) -> str:
    """
    Return the metrics of *servers* as Prometheus reads them, without prometheus-client.

    Args:
        servers: A server, several, or a dict of the names that tell them apart (the label ``server``) to them. By
            default a name is where the server listens, as ``tcp://127.0.0.1:9000``. Servers that have not been
            opened are left out.

    Raises:
        OptionError: There is none, or one of them is no server.
    """
    return write(families(Watched.of(servers, "metrics_text")))


def write(found: Sequence[Family]) -> str:
    """Write *found*."""
    return "".join(line + "\n" for family in found for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    # In this version of the format a counter is called as its only sample is.
    name = family.name + ("_total" if family.kind == "counter" else "")
    yield f"# HELP {name} {_escaped(family.meaning)}"
    yield f"# TYPE {name} {family.kind}"
    for sample in family.samples:
        yield f"{family.name}{sample.suffix}{_labels(sample.labels)} {sample.value!r}"


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(
        '{}="{}"'.format(name, _escaped(value).replace('"', r"\"")) for name, value in labels.items()
    )
    return "{" + inside + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
