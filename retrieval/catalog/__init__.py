"""The catalogue: the one truth about what is indexed."""

from retrieval.catalog.catalog import Catalog
from retrieval.catalog.rows import Failure, KnownFile, Picture, PictureFacts, Root
from retrieval.catalog.writing import WriteTransaction

__all__ = [
    "Catalog",
    "Failure",
    "KnownFile",
    "Picture",
    "PictureFacts",
    "Root",
    "WriteTransaction",
]
