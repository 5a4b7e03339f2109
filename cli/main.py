"""The command line's entry: the `mmsearch` group, its errors and exit codes.

Each command lives in a module of its own under `cli.commands` and loads when it is called, so that
`mmsearch --help` answers at once.
"""

from __future__ import annotations

import difflib
import gc
import logging
import os
import sys
from importlib import import_module
from typing import Any

import click

from cli.exit_codes import INTERRUPTED
from cli.remedies import EXIT_CODES, exit_code, in_words
from retrieval.errors import MmsearchError, StorageError
from retrieval.storage.disk import DISK_ERRORS

# Name → (module, one line of help): the help must not cost the import of every command.
COMMANDS = {
    "index": ("index", "Index the pictures in folders."),
    "query": ("query", "Find pictures by words, or by a picture."),
    "similar": ("similar", "Find pictures like a picture."),
    "thumbs": ("thumbs", "List the moments of a video, or save a strip of them."),
    "ask": ("ask", "Ask a question about pictures."),
    "shell": ("shell", "Ask one question after another."),
    "save": ("save", "Keep a question under a name."),
    "run": ("run", "Ask a saved question."),
    "saved": ("saved", "List saved questions, or forget one."),
    "feedback": ("feedback", "Keep which pictures are right or wrong for a question."),
    "duplicates": ("duplicates", "List pictures that are there more than once."),
    "cluster": ("cluster", "Put the pictures into groups by theme."),
    "tag": ("tag", "Tag the pictures that labels of your own fit."),
    "caption": ("caption", "Describe the indexed pictures in a sentence each."),
    "status": ("status", "Show what is indexed, and what failed."),
    "remove": ("remove", "Forget a folder or a picture."),
    "move": ("move", "Say that an indexed folder now lies elsewhere."),
    "watch": ("watch", "Follow changes in the indexed folders."),
    "check": ("check", "Check that all parts of the index agree, and mend them."),
    "backup": ("backup", "Copy the index's catalogue to a file."),
    "restore": ("restore", "Put a backup in the place of the index."),
    "repair": ("repair", "Save what can be read of a damaged index."),
    "upgrade": ("upgrade", "Move the index to another model."),
    "serve": ("serve", "Show the pictures in a browser, and answer programs over HTTP."),
    "mcp": ("mcp", "Let an assistant search, over the Model Context Protocol."),
    "import": ("import_", "Take in vectors that another program made."),
    "export": ("export", "Write vectors and facts for other programs."),
    "models": ("models", "List the models that can be used."),
    "eval": ("eval", "Measure how well captions find their pictures."),
    "train-encoder": ("train_encoder", "Train the model itself on your own captions."),
    "train-reranker": ("train_reranker", "Train the reranker on your own captions."),
}
EPILOG = (
    "Exit codes: 0 done; 1 a general error, files failed under --strict, a line of `query -` was "
    "no question, `query` found nothing, or `train-encoder` made nothing better; 2 wrong usage, or "
    "no index yet; 3 the index was made with another model; 4 unknown model; 5 another process is "
    "writing; 6 the catalogue cannot be used; 7 the disk is full or fails; 130 interrupted."
)


class _ReaderGoneError(Exception):
    """Nobody reads our output any more. Click would make exit code 1 of a BrokenPipeError."""


class CommandGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command's own module, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; for a name that is none, the nearest one is proposed."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else " `mmsearch --help` lists them."
            ctx.fail(f"There is no command `{name}`.{hint}")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments; `--help` and `--version` print here, before `invoke`."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises `_ReaderGoneError` in place of BrokenPipeError."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=CommandGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--index-dir",
    type=click.Path(file_okay=False),
    envvar="MMSEARCH_INDEX_DIR",
    help="The index to use, instead of your own in your data folder.",
)
@click.version_option(package_name="mmsearch", prog_name="mmsearch")
@click.pass_context
def group(ctx: click.Context, index_dir: str | None) -> None:
    """Find your pictures by what is in them.

    \b
    mmsearch index ~/Pictures
    mmsearch query "a dog on a beach"
    """
    # Here, so that `mmsearch --help` neither waits for the file nor stumbles over it.
    from cli.config import read_config, use_config

    config = read_config()
    use_config(ctx, config)
    ctx.obj = index_dir or config.index_dir


def main() -> None:
    """Run the command line; errors come out as one sentence and an exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    # The hub's package tells of each of its tries; what came of them is told by our error.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    try:
        code = group.main(standalone_mode=False)
        sys.stdout.flush()
    except MmsearchError as error:
        click.echo(f"Error: {in_words(error)}", err=True)
        code = exit_code(error)
    except click.Abort:
        click.echo("Stopped.", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (BrokenPipeError, _ReaderGoneError):
        # Whoever read our output, as `head`, has seen enough: that is no failure. What is left
        # goes nowhere, else the interpreter would try to write it and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        # Elsewhere than in the index: a gallery or an export that found no room.
        if error.errno not in DISK_ERRORS:
            raise
        where = f" ({error.filename})" if error.filename else ""
        click.echo(f"Error: {error.strerror}{where}: see to the disk and run again.", err=True)
        code = EXIT_CODES[StorageError]
    # The interpreter would look through all modules for garbage at the very end, for 0.1 s.
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
