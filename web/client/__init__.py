"""A search engine that is elsewhere, asked over HTTP."""

from web.client.client import Client

__all__ = ["Client"]
