"""The user's own defaults: a TOML file, read when a command runs and not for `mmsearch --help`.

    model = "ViT-B-32/laion2b_s34b_b79k"
    folders = ["~/Pictures"]
    exclude = ["private/", "*.gif"]
    index_dir = "~/.mmsearch"
    k = 20
    rerank = "off"

What is typed beats what the environment says, which beats the file.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from retrieval.paths import expanded

CONFIG_VARIABLE = "MMSEARCH_CONFIG"
_META_KEY = "mmsearch.config"


class ConfigError(click.ClickException):
    """The file cannot be used; a usage error as far as scripts are concerned."""

    exit_code = 2


@dataclass(frozen=True)
class Config:
    """What the file says. `path` is the file, None where there is none; paths are absolute."""

    path: Path | None = None
    model: str | None = None
    folders: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    index_dir: str | None = None
    k: int | None = None
    rerank: str | None = None

    def default_map(self) -> dict[str, Any]:
        """The defaults of commands' options, as click takes them."""
        query = {"limit": self.k, "rerank": self.rerank}
        return {"query": {name: value for name, value in query.items() if value is not None}}


def read_config() -> Config:
    """What $MMSEARCH_CONFIG says, else config.toml in the user's folder for such files.

    Raises ConfigError where the named file is not there, cannot be read or is no TOML, and where a
    key is unknown or has a value of another type.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    path = expanded(named).absolute() if named else _own_path()
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        if not named:
            return Config()
        raise ConfigError(
            f"There is no file at {path}, which {CONFIG_VARIABLE} names: correct or unset it."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): see to its permissions, or name another "
            f"file in {CONFIG_VARIABLE}."
        ) from error
    return _config(path, _parsed(path, text))


def use_config(ctx: click.Context, config: Config) -> None:
    """Let the commands below a context have it, as `current_config` and as their defaults."""
    ctx.meta[_META_KEY] = config
    ctx.default_map = config.default_map()


def current_config() -> Config:
    """What was read for the command that runs now; empty outside of one."""
    ctx = click.get_current_context(silent=True)
    config = ctx.meta.get(_META_KEY) if ctx is not None else None
    return config if isinstance(config, Config) else Config()


def _own_path() -> Path:
    # Here, since `mmsearch --help` needs none of it.
    from platformdirs import user_config_path

    return user_config_path("mmsearch", appauthor=False) / "config.toml"


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text.decode("utf-8-sig"))
    except ValueError as error:
        # Its own sentences end without a full stop and name line and column.
        raise ConfigError(f"{path} is no TOML ({error}): correct it.") from error


def _config(path: Path, values: dict[str, Any]) -> Config:
    def place(value: str) -> str:
        return os.path.abspath(path.parent / os.path.expanduser(value))  # noqa: PTH100, PTH111

    for key, value in values.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(_KEYS)}."
            raise ConfigError(f"{path} has a key {key!r} that is not known: {hint}")
        expected, is_right = _KEYS[key]
        if not is_right(value):
            raise ConfigError(f"{path}: {key!r} is to be {expected}, not {value!r}.")
    return Config(
        path=path,
        model=values.get("model"),
        folders=tuple(place(folder) for folder in values.get("folders", ())),
        exclude=tuple(values.get("exclude", ())),
        index_dir=place(values["index_dir"]) if "index_dir" in values else None,
        k=values.get("k"),
        rerank=values.get("rerank"),
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(_is_text(one) for one in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


# Key → (what is expected, whether a value is that).
_KEYS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "model": ("the name of a model, in quotes", _is_text),
    "folders": ("a list of folders, each in quotes", _is_list_of_texts),
    "exclude": ("a list of patterns, each in quotes", _is_list_of_texts),
    "index_dir": ("a folder, in quotes", _is_text),
    "k": ("a whole number of at least 1", _is_count),
    "rerank": ('"auto", "off" or the name of a reranker', _is_text),
}
