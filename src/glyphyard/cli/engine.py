"""`glyphyard engine`: TensorRT engines, built on the device that runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glyphyard.cli.options import json_option, print_json

if TYPE_CHECKING:
    from glyphyard.edge.engines import Judged
    from glyphyard.edge.session import Session

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))
target_option = click.option(
    "--target", required=True, help="The device, e.g. orin_nx_jp62; `glyphyard engine targets` lists them."
)
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    envvar="GLYPHYARD_ENGINES",
    help="Where engines are kept (~/.cache/glyphyard/engines).",
)


@click.group()
def engine() -> None:
    """Build, plan and verify TensorRT engines of a bundle."""


@engine.command(epilog="Example: glyphyard engine build bundle --target orin_nx_jp62")
@bundle_argument
@target_option
@cache_option
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), help="Another one than the plan's.")
@click.option("--suite", type=click.Path(path_type=Path), help="Judge the engine by this suite; int8 has to pass one.")
@click.option("--dataset", type=click.Path(path_type=Path), help="The prepared dataset that the suite's split is in.")
@click.option("--ray", "on_ray", is_flag=True, help="On a worker of the Ray cluster that offers the target's resource.")
@click.option("--again", is_flag=True, help="Build even if there is one.")
@json_option
def build(
    bundle: Path,
    target: str,
    cache: Path | None,
    precision: str | None,
    suite: Path | None,
    dataset: Path | None,
    on_ray: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Build this device's engine, replay the golden vectors on it, time it, and keep it if all holds."""
    from glyphyard.core.errors import BadInput
    from glyphyard.edge.engine_build import build as build_here
    from glyphyard.edge.engines import default_cache

    if (suite is None) != (dataset is None):
        raise BadInput("--suite", "a suite and a dataset go together", "state both, or neither")
    if on_ray and (suite or precision or again):
        raise BadInput(
            "--ray", "builds what the bundle plans, with golden vectors only", "use the other options on the device itself"
        )
    if on_ray:
        from glyphyard.cluster.engines import build_on_worker
        from glyphyard.cluster.session import connected

        with connected(say=_say):
            record = build_on_worker(bundle, target, cache, _say)
    else:
        judge = _judge(bundle, suite, dataset) if suite and dataset else None
        record = build_here(bundle, target, cache or default_cache(), _say, precision=precision, judge=judge, again=again)
    if as_json:
        print_json(record.to_json())
        return
    click.echo(f"{target}: engine {record.key}, {record.precision}, {record.replay['strings']} golden strings hold")
    for row in record.speed:
        click.echo(
            f"  batch {row['batch']:.0f}: p50 {row['p50_ms']:.2f} ms, p95 {row['p95_ms']:.2f}, p99 {row['p99_ms']:.2f}; {row['crops_per_s']:.0f} crops/s"
        )


def _judge(bundle: Path, suite: Path, dataset: Path) -> Callable[[Session], Judged]:
    from glyphyard.evaluation.engines import engine_judge
    from glyphyard.recipe.load import load_suite

    return engine_judge(bundle, dataset, load_suite(suite), _say)


@engine.command(epilog="Example: glyphyard engine plan bundle --target orin_nx_jp62")
@bundle_argument
@target_option
@json_option
def plan(bundle: Path, target: str, as_json: bool) -> None:
    """Print the trtexec command that a plan comes to, without building anything."""
    import shlex

    from glyphyard.core.targets import target_named
    from glyphyard.edge.bundle import Bundle
    from glyphyard.edge.plan import plan_for
    from glyphyard.edge.trtexec import build_command

    opened = Bundle.open(bundle)
    planned = plan_for(opened, target)
    rules = target_named(target).tensorrt
    options = build_command(planned, rules, opened.folder / planned.onnx, Path("engine.plan"), Path("timing.cache"))
    command = ["trtexec", *options]
    if as_json:
        print_json({"target": target, "plan": planned.to_json(), "command": command})
    else:
        click.echo(shlex.join(command))


@engine.command(epilog="Example: glyphyard engine verify bundle --target orin_nx_jp62")
@bundle_argument
@target_option
@cache_option
@json_option
def verify(bundle: Path, target: str, cache: Path | None, as_json: bool) -> int:
    """Build, replay and time everything here that can read the bundle, in one table (status 4 where one does not hold)."""
    from glyphyard.edge.__main__ import main

    options = ["--target", target, *(["--cache", str(cache)] if cache else []), *(["--json"] if as_json else [])]
    return main(["verify", str(bundle), *options])


@engine.command(epilog="Example: glyphyard engine targets")
@json_option
def targets(as_json: bool) -> None:
    """List the devices that engines can be planned for."""
    from glyphyard.core.targets import TARGETS

    rows = [
        {
            "name": t.name,
            "device": t.device,
            "jetpack": t.jetpack,
            "cuda": t.cuda,
            "tensorrt": t.tensorrt.series,
            "precision": t.precision,
            "opset": t.tensorrt.max_opset,
            "dla": t.dla_cores,
        }
        for t in TARGETS.values()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(
            f"{row['name']:<16} {row['device']:<27} JetPack {row['jetpack']:<5} TensorRT {row['tensorrt']:<6} {row['precision']}, opset ≤ {row['opset']}, {row['dla']} DLA"
        )


def _say(line: str) -> None:
    click.echo(line, err=True)
