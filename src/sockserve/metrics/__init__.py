"""Servers' counts and durations, for Prometheus: through prometheus-client's registry, or as text."""

from ._collector import ServerCollector
from ._text import metrics_text

__all__ = ("ServerCollector", "metrics_text")
