"""For programs that have prometheus-client: the metrics in its registry, beside their own."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from ..errors import CompositionError
from ._families import Family, families
from ._watched import Servers, Watched

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ("ServerCollector",)


def _watched(servers: Servers) -> Watched:
    return Watched.of(servers, "ServerCollector")


@attrs.frozen(eq=False)
class ServerCollector:
    """
    A collector for a registry of prometheus-client (``pip install 'sockserve[prometheus]'``).

        prometheus_client.REGISTRY.register(ServerCollector(server))

    It keeps no numbers: whenever the registry is asked, it asks the servers, which are measured from now on.

    Args:
        servers: A server, several, or a dict of the names that tell them apart (the label ``server``) to them. By
            default a name is where the server listens, as ``tcp://127.0.0.1:9000``. Servers that have not been
            opened are left out.

    Raises:
        CompositionError: prometheus-client is not installed.
        OptionError: There is no server, or one of them is none.
    """

    servers: Watched = attrs.field(converter=_watched)

    def __attrs_post_init__(self) -> None:
        try:
            import prometheus_client.core  # noqa: F401, PLC0415 - an extra
        except ImportError as error:
            raise CompositionError(
                "ServerCollector needs prometheus-client: pip install 'sockserve[prometheus]'; "
                "metrics_text() and the status page do without"
            ) from error

    def collect(self) -> "Iterable[Metric]":
        """Return the metrics of this moment."""
        return [_metric(family) for family in families(self.servers)]


def _metric(family: Family) -> "Metric":
    from prometheus_client.core import Metric  # noqa: PLC0415 - an extra

    metric = Metric(family.name, family.meaning, family.kind)
    for sample in family.samples:
        metric.add_sample(family.name + sample.suffix, dict(sample.labels), sample.value)
    return metric
