"""How the built-in compact model was made: from photographs and captions to ONNX files.

Imports `retrieval`, is imported by nothing. Run it with `python -m training.compact`.
"""
