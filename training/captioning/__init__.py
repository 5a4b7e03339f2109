"""The captioner's training: `python -m training.captioning`."""
