"""A search engine that is elsewhere, asked over HTTP."""

from web.client.client import Client
from web.client.shards import ShardedClient

__all__ = ["Client", "ShardedClient"]
