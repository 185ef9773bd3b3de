"""Makes the fixtures of ``graph_house`` known to every graph test."""

from graph_house import build

__all__ = ["build"]
