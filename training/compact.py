"""Train the built-in model: `python -m training.compact --data DIR --out DIR`.

Stages, each of which leaves a folder that the next one reads, so that a run that was cut off goes
on and each can run on the machine that suits it:

1. `corpus`: pictures, texts and start weights in one folder;
2. `towers`: the text encoder on captions, then all towers together (a GPU takes ten minutes);
3. `model`: against hubs, in eight bits, and the second stage's weight.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from training.recipe import FULL, TINY
from training.stages import make_corpus, make_model, train_towers
from training.tiny import make_tiny_data

STAGES = ("corpus", "towers", "model")


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run the stages that are not done."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.tiny and options.out is None:
        parser.error("--out is needed, except with --tiny")
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch) / "training"
        data = options.data or Path(scratch) / "data"
        if options.tiny and options.data is None:
            make_tiny_data(data)
        recipe = TINY if options.tiny else FULL
        device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        for stage in STAGES if options.stage is None else (options.stage,):
            if stage == "corpus":
                make_corpus(recipe, data, options.wordnet, options.seed, out / "corpus")
            elif stage == "towers":
                train_towers(
                    recipe, out / "corpus", out / "towers", options.seed, device, options.minutes
                )
            else:
                make_model(recipe, data, options.seed, out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.compact", description=__doc__)
    parser.add_argument("--data", type=Path, help="see training/README.md")
    parser.add_argument("--out", type=Path, help="where the stages' folders are written")
    parser.add_argument("--stage", choices=STAGES, help="this stage alone; else all of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cuda or cpu; what there is by default")
    parser.add_argument("--minutes", type=float, help="bring the towers' training to its end by")
    parser.add_argument("--tiny", action="store_true", help="prove that the stages fit, no more")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    return parser


if __name__ == "__main__":
    main()
