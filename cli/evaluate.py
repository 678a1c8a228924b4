"""`vistok eval`: score tokenizers and baselines on the same images or clips."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import (
    LARGEST,
    LARGEST_SEED,
    AsJson,
    Device,
    Dtype,
    Output,
    Plugins,
    Source,
    Workers,
    is_main_process,
    one_of,
    parse_device,
    parse_dtype,
    print_json,
    report_bad,
    split_words,
)
from .plugins import load_plugins


def evaluate(
    source: Source,
    tokenizers: Annotated[
        list[str],
        typer.Option(
            "--tokenizer",
            help="Folder, hub id, continuous:DIR, diffusers:Class:PATH, folder:DIR, "
            "jpeg:q=10,50,90, webp, avif, h264:crf=28, hevc, av1, bicubic:f=8 or identity; may be "
            "repeated.",
        ),
    ],
    output: Output,
    size: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Side of the center crops, in pixels.")
    ] = 256,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST, help="Frames per clip, 1 for images; by default as in the protocol."
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Clips per forward pass.")
    ] = 8,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: psnr,rfid,...; by default a selection for images or for clips."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="Evaluation protocol: vistok-eval-v1, wetok, vidtok, tokenbench or titok."
        ),
    ] = "vistok-eval-v1",
    require: Annotated[
        list[str] | None,
        typer.Option("--require", help="Fail if this metric is unavailable; may be repeated."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Maximum number of files to score.")
    ] = None,
    workers: Workers = 0,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", help="Folder of statistics of the originals; by default in ~/.cache."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compute rfvd even of fewer than 256 clips.")
    ] = False,
    battery: Annotated[
        bool,
        typer.Option("--battery", help="Also test for artifacts: patterns, seams, jumps, ..."),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=LARGEST_SEED, help="Random seed of injected noise and of random subsets."
        ),
    ] = 0,
    device: Device = "auto",
    dtype: Dtype = "float32",
    as_json: AsJson = False,
    plugins: Plugins = None,
) -> None:
    """Score tokenizers and baselines on the same images; write report.json and report.html.

    Run the same command again to resume an interrupted evaluation. Several processes:
    torchrun --nproc-per-node 2 -m vistok eval ...
    """
    from ..eval.job import run_evaluation
    from ..eval.metrics.names import check_metrics
    from ..eval.protocols.protocol import PROTOCOLS

    load_plugins(plugins)
    names = None if metrics is None else split_words([metrics])
    required = split_words(require)
    check_metrics(required, "--require")
    check_metrics(names or (), "--metrics")
    result = run_evaluation(
        source,
        tokenizers,
        output,
        size=size,
        frames=frames,
        batch_size=batch_size,
        metrics=names,
        require=required,
        protocol=one_of("--protocol", protocol, PROTOCOLS),
        limit=limit,
        workers=workers,
        device=parse_device(device),
        dtype=parse_dtype(dtype),
        seed=seed,
        force=force,
        cache=cache,
        battery=battery,
        show_progress=True,
        on_row=_report_row,
    )
    if is_main_process():
        if as_json:
            print_json(result.report.to_json())
        else:
            _print_scores(result.rows)
            print(f"report: {result.files.html}")
        report_bad(result.bad_files)
    if result.missing:
        missing = ", ".join(f"{one.metric} of {one.tokenizer}" for one in result.missing)
        sys.stderr.write(f"required, but unavailable: {missing}\n")
        raise typer.Exit(1)


def _report_row(row: Any) -> None:
    """Write the metrics of a row to stderr, as soon as it is finished."""
    if is_main_process():
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items())
        sys.stderr.write(f"{row.tokenizer}: {metrics}\n")


def _print_scores(rows: Any) -> None:
    """Print a table of the rows with the metrics only, since a terminal is narrow."""
    from rich.console import Console
    from rich.table import Table

    from ..eval.report.short_names import with_short_names
    from ..eval.report.table import table_of

    scores = table_of(with_short_names(rows))
    selected = [
        (index, column)
        for index, column in enumerate(scores.columns)
        if column.metric or column.key in ("tokenizer", "bits_per_pixel", "num_samples")
    ]
    table = Table(box=None, pad_edge=False)
    for index, column in selected:
        table.add_column(column.title, justify="left" if index == 0 else "right", overflow="fold")
    for line in scores.lines:
        table.add_row(*[line.cells[index].text for index, _ in selected])
    Console(width=None if sys.stdout.isatty() else 120).print(table)
