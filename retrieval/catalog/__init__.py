"""The catalogue: the one truth about what is indexed."""

from retrieval.catalog.catalog import Catalog
from retrieval.catalog.checking import CatalogDefects
from retrieval.catalog.rows import Failure, KnownFile, Picture, PictureFacts, Root, StoredFile
from retrieval.catalog.writing import WriteTransaction

__all__ = [
    "Catalog",
    "CatalogDefects",
    "Failure",
    "KnownFile",
    "Picture",
    "PictureFacts",
    "Root",
    "StoredFile",
    "WriteTransaction",
]
