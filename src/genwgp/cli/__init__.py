"""The command line `genwgp`."""

from genwgp.cli.app import app as app

__all__ = ["app"]
