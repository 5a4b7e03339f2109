"""How the built-in answerer was made: questions from captions, a network, its calibration.

Run it with `python -m training.answering`.
"""
