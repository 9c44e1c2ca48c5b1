"""`glyphyard sync`: a door to the agent that runs on the device; there it is `glyphyard-sync`, which needs no click."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: glyphyard sync --config /etc/glyphyard/sync.json --once")
@click.option(
    "--config", type=click.Path(path_type=Path), default=Path("/etc/glyphyard/sync.json"), show_default=True,
    help="The agent's JSON file; credentials stand in the environment or in a file of their own.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Poll once, then end: 0 in sync, 4 not.")
@click.option("--state", is_flag=True, help="Print the state and end.")
@click.option("--forgive", metavar="VERSION", help="Take a version out of quarantine and end.")
def sync(config: Path, once: bool, state: bool, forgive: str | None) -> int:
    """Keep this device on the model that the registry's alias names."""
    from glyphyard.edge.sync.daemon import main

    flags = [name for name, given in (("--once", once), ("--state", state)) if given]
    return main(["--config", str(config), *flags, *(["--forgive", forgive] if forgive else [])])
