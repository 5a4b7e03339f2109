"""An indexer as a process of its own, with the small encoder; prints its summary as JSON.

Arguments: the index folder, the catalogue's address, the folder of pictures, seconds that each
batch takes to be encoded, and those after which others take its files when it is gone.
"""

from __future__ import annotations

import json
import sys

from indexer import index_folders
from retrieval.catalog.postgres import lease
from tests.support.small_encoder import ColorEncoder


def main() -> None:
    index_dir, url, folder, pause_s, lease_s = sys.argv[1:]
    lease.LEASE_S = float(lease_s)
    encoder = ColorEncoder(pause_s=float(pause_s))
    summary = index_folders([folder], index_dir, encoder=encoder, catalog=url)
    print(json.dumps({"new": summary.new, "encoded": summary.encoded, "failed": summary.failed}))


if __name__ == "__main__":
    main()
