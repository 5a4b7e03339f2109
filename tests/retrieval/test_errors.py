"""Errors reach other processes as they are, and copies of them are like them."""

from __future__ import annotations

import copy
import pickle

import pytest

from retrieval import errors
from retrieval.errors import (
    DamagedCatalogError,
    ImageError,
    MmsearchError,
    VectorStoreError,
)


@pytest.mark.parametrize(
    "error",
    [
        ImageError("damaged", "it ends early"),
        DamagedCatalogError("The catalogue is damaged.", "malformed"),
        MmsearchError("No such folder.", code="no-folder", path="/photos"),
        VectorStoreError("It does not answer."),
    ],
)
def test_errors_survive_pickling_and_copying(error: MmsearchError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert (str(again), again.code, again.facts) == (str(error), error.code, error.facts)
        assert vars(again) == vars(error)


def test_every_class_of_error_can_be_pickled_without_being_called() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, MmsearchError):
            error = kind.__new__(kind, "why")
            assert pickle.loads(pickle.dumps(error)).args == ("why",)
