"""What goes wrong when a model is exported."""

from __future__ import annotations


class ExportError(Exception):
    """A model cannot become an ONNX twin; the text says why, as the end of "because ...".

    Nobody outside sees it: the model runs in torch instead.
    """
