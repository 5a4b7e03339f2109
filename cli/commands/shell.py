"""`mmsearch shell`: one question after another."""

from __future__ import annotations

import click


@click.command("shell")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Ask one question after another, with one start-up and a history.

    Each line is a question with options, as `mmsearch query` takes them: a beach --not people -k 5.
    The next answers come with :more, the second is opened with :open 2, :help lists the rest.
    """
    from cli.shell import Shell

    Shell(ctx).run()
