"""`vistok eval`: score tokenizers and baselines on the same images or clips."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import (
    AsJson,
    Device,
    Dtype,
    Output,
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
    size: Annotated[int, typer.Option(min=1, help="Side of the centre crops, in pixels.")] = 256,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames per clip; 1 scores images; else as the protocol has it."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips per forward pass.")] = 8,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: psnr,rfid,...; by default the usual ones for pictures or clips."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="Rules of the scores: vistok-eval-v1, wetok, vidtok, tokenbench, titok."),
    ] = "vistok-eval-v1",
    require: Annotated[
        list[str] | None,
        typer.Option("--require", help="Fail where this metric is unavailable; may be repeated."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of files to score.")
    ] = None,
    workers: Workers = 0,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder of statistics of originals; default in ~/.cache."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compute rfvd of fewer than 256 clips, too.")
    ] = False,
    battery: Annotated[
        bool, typer.Option("--battery", help="Look for artifacts, too: patterns, seams, jumps, ...")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of injected noise and of random subsets.")] = 0,
    device: Device = "auto",
    dtype: Dtype = "float32",
    as_json: AsJson = False,
) -> None:
    """Score tokenizers and baselines on the same images; writes report.json and report.html.

    Run again with the same --output, an evaluation that was stopped goes on. Several processes:
    torchrun --nproc-per-node 2 -m vistok eval ...
    """
    from ..distributed import torchrun_processes
    from ..eval.harness.evaluate import evaluate as score
    from ..eval.harness.partial_scores import remove_partial_scores
    from ..eval.harness.reference_statistics import default_cache_folder
    from ..eval.harness.row import with_canonical
    from ..eval.metrics.catalog import check_metrics, default_metrics
    from ..eval.protocol import PROTOCOLS
    from ..eval.report.sample_table import write_sample_table
    from ..output_file import check_output_folder

    rules = PROTOCOLS[one_of("--protocol", protocol, PROTOCOLS)]
    required = split_words(require)
    check_metrics(required, "--require")
    clip_frames = frames or rules.default_frames
    names = default_metrics(clip_frames) if metrics is None else split_words([metrics])
    check_metrics(names, "--metrics")
    check_output_folder(output)
    with torchrun_processes(parse_device(device)) as place:
        rows = score(
            source,
            tokenizers,
            size=size,
            frames=frames,
            batch_size=batch_size,
            metrics=[*names, *required],
            protocol=protocol,
            limit=limit,
            workers=workers,
            device=place,
            dtype=parse_dtype(dtype),
            seed=seed,
            force=force,
            cache=cache or default_cache_folder(),
            parts=output / ".vistok-eval-parts",
            show_progress=True,
            on_row=_say_row,
        )
    if is_main_process():
        from ..eval.diagnostics.battery import run_diagnostics

        write_sample_table(output / "samples.parquet", rows)
        kind = parse_dtype(dtype)
        findings = (
            run_diagnostics(source, tokenizers, size, place, kind, clip_frames) if battery else ()
        )
        _write_report(source, rules, rows, output, as_json, findings)
        bad = {bad.path: bad for row in with_canonical(rows) for bad in row.bad_files}
        report_bad(bad.values())
        remove_partial_scores(rows)
    missing = [(row.tokenizer, name) for row in rows for name in required if not _has(row, name)]
    if missing:
        words = ", ".join(f"{name} of {tokenizer}" for tokenizer, name in missing)
        sys.stderr.write(f"required, but unavailable: {words}\n")
        raise typer.Exit(1)


def _write_report(
    source: str, rules: Any, rows: Any, output: Path, as_json: bool, battery: Any
) -> None:
    from ..eval.report.report import Report

    report = Report(source, rules, rows, battery=battery)
    report.write(output)
    if as_json:
        print_json(report.to_json())
    else:
        _print_scores(rows)
        print(f"report: {output / 'report.html'}")


def _has(row: Any, metric: str) -> bool:
    return metric in row.metrics and metric not in row.unavailable


def _say_row(row: Any) -> None:
    """One line as soon as a subject is scored."""
    if is_main_process():
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items())
        sys.stderr.write(f"{row.tokenizer}: {numbers}\n")


def _print_scores(rows: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..eval.report.table import table_of

    found = table_of(rows)
    # A terminal is narrow; everything else stands in the report.
    shown = [
        (index, column)
        for index, column in enumerate(found.columns)
        if column.metric or column.key in ("tokenizer", "bits_per_pixel", "num_samples")
    ]
    table = Table(box=None, pad_edge=False)
    for index, column in shown:
        table.add_column(column.title, justify="left" if index == 0 else "right", overflow="fold")
    for line in found.lines:
        table.add_row(*[line.cells[index].text for index, _ in shown])
    Console(width=None if sys.stdout.isatty() else 120).print(table)
