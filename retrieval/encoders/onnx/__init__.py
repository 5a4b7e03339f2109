"""Exported open_clip models, run by ONNX Runtime."""
