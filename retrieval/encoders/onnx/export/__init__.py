"""From an open_clip model in torch to ONNX graphs that need neither; only here is onnx needed."""
