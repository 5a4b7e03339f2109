"""The stages of a training, from data to the files that ship."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from training.checkpoint import load_weights, save_weights
from training.clock import clock
from training.contrastive import Material, train_contrastive
from training.corpus import Corpus, Integers, prepare, read_corpus, read_pictures
from training.efficientnet import load_lite
from training.recipe import Recipe
from training.resume import TrainingState
from training.sentences import minilm_folder
from training.sources import general_texts, is_well_told, read_sources, unseen_captions
from training.text_encoder import TextEncoder, load_minilm
from training.text_pretraining import pretrain, teach
from training.towers import Towers, TowerShape
from training.validation import validate
from training.vocabulary import choose_tokens, learn_tokens, wordpiece

_TOKENIZER = "tokenizer.json"
_NUMBERS = "numbers.json"
_LOG = "towers.jsonl"
_EVERY = 5


def make_corpus(recipe: Recipe, data: Path, wordnet: Path, seed: int, folder: Path) -> None:
    """Stage 1; does nothing where it is done."""
    if (folder / _NUMBERS).exists():
        return
    say = clock()
    sources, unseen = read_sources(data, seed), unseen_captions(data)
    learnt = [text for picture in sources.learnt for text in picture.captions]
    general = general_texts(wordnet, recipe.general_texts, seed) or learnt
    captions = [*learnt, *(text for texts in unseen for text in texts)]
    tokenizer, rows = _tokenizer(recipe, captions, general)
    prepare(
        sources.pictures,
        unseen,
        general,
        tokenizer,
        recipe.side_px,
        seed,
        folder,
    )
    tokenizer.save(str(folder / _TOKENIZER), pretty=False)
    shape = sized(recipe, tokenizer)
    torch.manual_seed(seed)
    towers = Towers(shape)
    if recipe.first_start is not None:
        towers.vector.backbone = load_lite(recipe.first_start, shape.drop)
    if recipe.second_start is not None:
        towers.patch.backbone = load_lite(recipe.second_start, shape.drop)
    if rows is not None:
        load_minilm(towers.text.encoder, minilm_folder() / "model.safetensors", rows)
    for module, name in _started(towers):
        save_weights(module, folder, name)
    numbers = {
        "learnt": len(sources.learnt),
        "well_told": [is_well_told(picture) for picture in sources.pictures],
    }
    (folder / _NUMBERS).write_text(json.dumps(numbers) + "\n", "utf-8")
    say(f"{len(sources.learnt)} pictures and {len(sources.held)} held out: {folder}")


def train_towers(
    recipe: Recipe,
    corpus_folder: Path,
    out: Path,
    seed: int,
    device: torch.device,
    minutes: float | None = None,
    save_every_s: float = 300.0,
) -> list[float]:
    """Stage 2; returns the mean loss of each epoch that it ran, nothing where it is done.

    A run that was cut off goes on where it last saved its state.
    """
    if (out / "done").exists():
        return []
    say = clock()
    corpus = read_corpus(corpus_folder)
    tokenizer = Tokenizer.from_file(str(corpus_folder / _TOKENIZER))
    shape = sized(recipe, tokenizer)
    torch.manual_seed(seed)
    towers = Towers(shape)
    for module, name in _started(towers):
        load_weights(module, corpus_folder, name)
    towers.to(device)
    general = teach(towers.text.encoder, corpus.general, device)
    texts = TrainingState(out / "texts-state.pt", save_every_s)
    course = TrainingState(out / "towers-state.pt", save_every_s)
    pretrain(
        towers.text.encoder,
        corpus,
        general,
        recipe.pretraining,
        seed,
        lambda step, loss: say(f"texts, step {step}: loss {loss:.3f}"),
        texts,
    )
    material = _material(corpus, corpus_folder, towers.text.encoder, general, device)
    held = material.pictures[len(material.learnt) :]
    say(f"{len(material.learnt)} pictures on {device}")
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = True
    losses: list[float] = []
    out.mkdir(parents=True, exist_ok=True)
    log = out / _LOG

    def report(epoch: int, share: float, loss: float, average: Towers) -> None:
        losses.append(loss)
        line: dict[str, object] = {"epoch": epoch, "share": round(share, 4), "loss": round(loss, 4)}
        say(f"epoch {epoch}, {share:.0%}: loss {loss:.3f}")
        if (epoch % _EVERY == 0 or share >= 1.0) and len(held):
            found = validate(average, held, corpus.captions, len(material.learnt))
            line["held_out"] = str(found)
            say(str(found))
            save_weights(average, out, "towers")
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    settings = replace(recipe.contrastive, minutes=minutes or recipe.contrastive.minutes)
    average = train_contrastive(towers, material, settings, seed, report, course)
    save_weights(average, out, "towers")
    (out / "done").touch()
    for state in (texts, course):
        state.forget()
    return losses


def make_model(recipe: Recipe, data: Path, seed: int, out: Path) -> None:
    """Stage 3: what ships, in `out/model`."""
    from training.finish import finish

    corpus_folder = out / "corpus"
    tokenizer = Tokenizer.from_file(str(corpus_folder / _TOKENIZER))
    towers = Towers(sized(recipe, tokenizer))
    load_weights(towers, out / "towers", "towers")
    sources = read_sources(data, seed)
    finish(towers.eval(), recipe, sources, tokenizer, seed, out / "model", clock())


def sized(recipe: Recipe, tokenizer: Tokenizer) -> TowerShape:
    """The towers' shape for the tokenizer's vocabulary."""
    text = replace(recipe.towers.text, vocabulary=tokenizer.get_vocab_size())
    return replace(recipe.towers, text=text)


def _material(
    corpus: Corpus,
    folder: Path,
    encoder: TextEncoder,
    general: torch.Tensor,
    device: torch.device,
) -> Material:
    numbers = json.loads((folder / _NUMBERS).read_text("utf-8"))
    pictures = read_pictures(folder).to(device)
    # Built by rows: one scatter for all captions' tokens.
    stems = torch.zeros(len(pictures), corpus.stems, device=device)
    lengths = np.diff(corpus.captions.starts)
    rows: Integers = np.repeat(corpus.captions.owner, lengths)
    named = corpus.captions.stems >= 0
    stems[
        torch.from_numpy(rows[named]).to(device),
        torch.from_numpy(corpus.captions.stems[named].astype(np.int64)).to(device),
    ] = 1.0
    return Material(
        corpus=corpus,
        pictures=pictures,
        learnt=np.arange(numbers["learnt"]),
        caption_teacher=teach(encoder, corpus.captions, device),
        general_teacher=general,
        stems=stems,
        well_told=torch.tensor(numbers["well_told"], device=device),
    )


def _tokenizer(
    recipe: Recipe, captions: Sequence[str], general: Sequence[str]
) -> tuple[Tokenizer, torch.Tensor | None]:
    """The smaller vocabulary, and the rows of MiniLM's that it keeps; None for random ones."""
    limit = recipe.towers.text.max_tokens
    if not recipe.minilm:
        return wordpiece(learn_tokens([*captions, *general]), limit), None
    whole = Tokenizer.from_file(str(minilm_folder() / _TOKENIZER))
    whole.no_padding()
    whole.no_truncation()
    tokens = choose_tokens(whole, captions, general, recipe.vocabulary)
    rows = torch.tensor([whole.token_to_id(token) for token in tokens])
    return wordpiece(tokens, limit), rows


def _started(towers: Towers) -> tuple[tuple[torch.nn.Module, str], ...]:
    return (
        (towers.vector.backbone, "start-first"),
        (towers.patch.backbone, "start-second"),
        (towers.text.encoder, "start-text"),
    )
