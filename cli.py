"""The command line. `--help` answers without loading torch: every command imports what it needs.

Exit codes: 0 done, 1 failed while working, 2 wrong usage or config, 130 interrupted. Progress and
messages go to stderr, results to stdout.
"""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="vistok",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train, run and score discrete and continuous visual tokenizers for images and video.",
    epilog="Add --debug to any command to see the traceback behind an error.",
)

INTERRUPTED = 130

Source = Annotated[
    str,
    typer.Argument(
        help="Folder, glob, shards-{000..009}.tar, Parquet, list (txt, csv, jsonl), URL of one of "
        "these, or samples:heldout."
    ),
]
TokenizerName = Annotated[
    str, typer.Option("--tokenizer", help="Folder of a saved tokenizer, or a hub id.")
]
Output = Annotated[Path, typer.Option("--output", help="Folder for the results.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
Dtype = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def quickstart(
    output: Output = Path("quickstart"),
    minutes: Annotated[float, typer.Option(help="Time for everything, at least 0.5.")] = 4.0,
) -> None:
    """Train a small tokenizer on the bundled images, encode, decode and score it."""
    from .quickstart import quickstart as run

    run(output, minutes)


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped config.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder of the run; runs/CONFIG if not given.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=c", help="Override a setting; may be repeated."),
    ] = None,
    device: Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Short for --set train.seed=N.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved config and stop.")
    ] = False,
) -> None:
    """Train a tokenizer; run again with the same --output to go on where it stopped."""
    from .train.config.files import dump_stages, load_stages

    overrides = [*(settings or []), *([] if seed is None else [f"train.seed={seed}"])]
    stages = load_stages(config, overrides)
    if dry_run:
        print(dump_stages(stages), end="")
        return
    from .output_file import check_output_folder
    from .train.run.preemption import exit_on_signal
    from .train.stages import train_stages

    folder = output or Path("runs") / Path(config).stem
    check_output_folder(folder)
    first_process = _is_first_process()
    if first_process:
        sys.stderr.write(dump_stages(stages))
    with exit_on_signal():
        result = train_stages(stages, folder, device)
    if first_process and result.tokenizer is None:
        print(f"stopped after step {result.step}: {folder}")
    elif first_process:
        print(f"tokenizer: {result.tokenizer}")


@app.command()
def reconstruct(
    inputs: Annotated[list[str], typer.Argument(help="Images, videos, folders or globs.")],
    tokenizer: TokenizerName,
    output: Output,
    tile: Annotated[
        int | None,
        typer.Option(min=0, help="Tile side in pixels; 0 never tiles; by default large frames do."),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    as_json: AsJson = False,
) -> None:
    """Encode and decode images and videos of any size and length."""
    from .data.sources.media import READ_ERRORS, bad_file
    from .data.sources.source import list_source
    from .eval.reconstructors.reconstruct import check_outputs, reconstruct_file
    from .output_file import check_output_folder, finite_numbers
    from .progress import track

    check_output_folder(output)
    listings = [list_source(name) for name in inputs]
    files = [file for listing in listings for file in listing.files]
    check_outputs(files, output)
    model = _load(tokenizer, device, dtype)
    results = []
    bad = [bad for listing in listings for bad in listing.skipped]
    for file in track(files, "reconstructing", len(files)):
        try:
            result = reconstruct_file(file, model, output, tile=tile)
        except READ_ERRORS as error:
            bad.append(bad_file(file.path, error))
            continue
        results.append(result)
        if not as_json:
            size = f"{result.frames} x {result.width} x {result.height}"
            print(f"{result.psnr:6.2f} dB  {size:>18}  {result.path}  {result.side_by_side.name}")
    if as_json:
        _print_json(
            [
                finite_numbers(
                    {**vars(r), "path": str(r.path), "side_by_side": str(r.side_by_side)}
                )
                for r in results
            ]
        )
    _report_bad(bad)
    if len(results) < len(files):
        raise typer.Exit(1)


@app.command()
def encode(
    source: Source,
    tokenizer: TokenizerName,
    output: Output,
    what: Annotated[str, typer.Option(help="tokens or latents.")] = "tokens",
    size: Annotated[int, typer.Option(min=1, help="Short side, in pixels.")] = 256,
    keep_aspect: Annotated[
        bool, typer.Option("--keep-aspect", help="Whole pictures instead of square crops.")
    ] = False,
    frames: Annotated[int, typer.Option(min=1, help="Frames per clip; 1 encodes images.")] = 1,
    stride: Annotated[int, typer.Option(min=1, help="Step between the frames of a clip.")] = 1,
    shard_size: Annotated[int, typer.Option(min=1, help="Samples per shard.")] = 512,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per forward pass.")] = 16,
    workers: Annotated[int, typer.Option(min=0, help="Reading processes.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Encode at most so many files.")] = None,
    max_bad: Annotated[
        float,
        typer.Option(min=0, help="Unreadable files accepted: below 1 a share, else a number."),
    ] = 0.01,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start afresh where the output holds another job.")
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "float32",
    as_json: AsJson = False,
) -> None:
    """Encode a source to Parquet shards; run again to finish a job that was stopped."""
    from .encode.job import encode_source
    from .output_file import check_output_folder

    check_output_folder(output)
    result = encode_source(
        source,
        _load(tokenizer, device, dtype),
        output,
        name=tokenizer,
        what=_one_of("--what", what, ("tokens", "latents")),
        size=size,
        keep_aspect=keep_aspect,
        frames=frames,
        stride=stride,
        batch_size=batch_size,
        shard_size=shard_size,
        workers=workers,
        limit=limit,
        overwrite=overwrite,
        max_bad=max_bad,
        show_progress=True,
    )
    _report_bad(result.bad)
    if as_json:
        _print_json({**vars(result), "bad": [vars(bad) for bad in result.bad]})
    else:
        new = f"{result.shards_written} new" if result.shards_written else "all there already"
        print(f"{result.num_samples} samples in {result.num_shards} shard(s), {new}: {output}")


@app.command()
def decode(
    tokens: Annotated[Path, typer.Argument(help="Folder of shards.")],
    tokenizer: TokenizerName,
    output: Output,
    keys: Annotated[
        list[str] | None, typer.Option("--keys", help="Decode only this sample; may be repeated.")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Decode stored tokens or latents to PNG and MP4 files."""
    from .encode.decode import decode_shards
    from .output_file import check_output_folder

    check_output_folder(output)
    paths = decode_shards(tokens, _load(tokenizer, device, dtype), output, keys, show_progress=True)
    print(f"{len(paths)} file(s): {output}")


@app.command("eval")
def evaluate_command(
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
    size: Annotated[int, typer.Option(min=1, help="Side of the center crops, in pixels.")] = 256,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames per clip, 1 for images; by default as in the protocol."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips per forward pass.")] = 8,
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
        int | None, typer.Option(min=1, help="Maximum number of files to score.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Number of processes that read files.")] = 0,
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
        int, typer.Option(help="Random seed of injected noise and of random subsets.")
    ] = 0,
    device: Device = "auto",
    dtype: Dtype = "float32",
    as_json: AsJson = False,
) -> None:
    """Score tokenizers and baselines on the same images; write report.json and report.html.

    Run the same command again to resume an interrupted evaluation. Several processes:
    torchrun --nproc-per-node 2 -m vistok eval ...
    """
    from .eval.job import run_evaluation
    from .eval.metrics.catalog import check_metrics
    from .eval.protocols.protocol import PROTOCOLS

    names = None if metrics is None else _words([metrics])
    required = _words(require)
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
        protocol=_one_of("--protocol", protocol, PROTOCOLS),
        limit=limit,
        workers=workers,
        device=_device(device),
        dtype=_dtype(dtype),
        seed=seed,
        force=force,
        cache=cache,
        battery=battery,
        show_progress=True,
        on_row=_report_row,
    )
    if _is_first_process():
        if as_json:
            _print_json(result.report.to_json())
        else:
            _print_scores(result.rows)
            print(f"report: {result.files.html}")
        _report_bad(result.bad_files)
    if result.missing:
        missing = ", ".join(f"{one.metric} of {one.tokenizer}" for one in result.missing)
        sys.stderr.write(f"required, but unavailable: {missing}\n")
        raise typer.Exit(1)


def _words(options: list[str] | None) -> list[str]:
    """The words of options that may be repeated and may hold commas."""
    return [word.strip() for option in options or () for word in option.split(",") if word.strip()]


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _report_row(row: Any) -> None:
    """Write the metrics of a row to stderr, as soon as it is finished."""
    if _is_first_process():
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items())
        sys.stderr.write(f"{row.tokenizer}: {metrics}\n")


@app.command()
def convert(
    family: Annotated[
        str, typer.Argument(help="Whose checkpoint: wetok. Others have no converter yet.")
    ],
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Published file (.ckpt, .safetensors); with --reverse a tokenizer."),
    ],
    output: Output,
    weights: Annotated[
        str | None,
        typer.Option(help="ema (where the file has averages, the default) or raw."),
    ] = None,
    bits_per_group: Annotated[
        int | None, typer.Option(min=1, help="Bits behind one index; 8 in all published WeToks.")
    ] = None,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Write a tokenizer as a file of the published kind.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn a published checkpoint into a tokenizer, or back; strict, tensor by tensor."""
    from .output_file import check_output_folder
    from .tokenizers.converters.catalog import make_converter
    from .tokenizers.tokenizer import VisualTokenizer

    converter = make_converter(family, {"weights": weights, "bits_per_group": bits_per_group})
    check_output_folder(output)
    if reverse:
        for option, value in (("--weights", weights), ("--bits-per-group", bits_per_group)):
            if value is not None:
                raise ValueError(f"{option} has no effect with --reverse")
        path = converter.write(VisualTokenizer.from_pretrained(checkpoint), output)
        _print_json({"checkpoint": str(path)}) if as_json else print(f"checkpoint: {path}")
        return
    conversion = converter.read(checkpoint)
    conversion.save(output)
    if as_json:
        facts = {"weights": conversion.weights, "used": conversion.used}
        _print_json({**facts, "ignored": conversion.ignored, "tokenizer": str(output)})
        return
    print(f"used: {conversion.weights}")
    for reason, count in conversion.ignored.items():
        print(f"ignored: {count} ({reason})")
    print(f"tokenizer: {output}")


@app.command()
def inspect(
    source: Source,
    output: Annotated[
        Path, typer.Option("--output", help="A PNG, or a folder, for the contact sheet.")
    ] = Path("contact_sheet.png"),
    thumbnails: Annotated[int, typer.Option(min=0, help="Files on the contact sheet.")] = 64,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not decode every frame of videos.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most so many files.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Reading processes.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Count and measure the files of a source, list bad ones, draw a contact sheet."""
    from dataclasses import asdict

    from .data.inspection.contact_sheet import write_contact_sheet
    from .data.inspection.inspection import inspect_source
    from .output_file import check_output_folder

    sheet = output if output.suffix.lower() == ".png" else output / "contact_sheet.png"
    check_output_folder(sheet.parent)
    if thumbnails and sheet.exists():
        raise ValueError(f"{sheet} exists already; choose another --output")
    found, reports = inspect_source(
        source,
        limit=limit,
        quick=quick,
        thumbnails=thumbnails,
        workers=workers,
        show_progress=True,
    )
    if thumbnails:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        write_contact_sheet(sheet, reports)
    for bad in (*found.bad, *found.skipped):
        sys.stderr.write(f"bad: {bad.path}: {bad.reason} ({bad.exception or 'not read'})\n")
    if as_json:
        _print_json({**asdict(found), "contact_sheet": str(sheet) if thumbnails else None})
        return
    for label, value in _inspection_rows(found):
        print(f"{label:<20}{value}")
    if thumbnails:
        print(f"{'contact sheet':<20}{sheet}")


@app.command()
def info(
    name: Annotated[str, typer.Argument(metavar="T|CONFIG", help="A saved tokenizer or a config.")],
    size: Annotated[int | None, typer.Option(min=1, help="Side for rates and cost.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames for rates and cost.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show parameters, compression, rates and cost of a tokenizer or a config."""
    from dataclasses import asdict

    from .tokenizers.summary import summarize
    from .train.describe import open_description

    tokenizer, usual = open_description(name)
    side = size or usual[1]
    summary = summarize(tokenizer, (frames or usual[0], side, side))
    if as_json:
        _print_json(asdict(summary))
        return
    T, H, W = summary.size
    rows = [
        ("bottleneck", summary.bottleneck),
        ("compression (T, H, W)", " x ".join(map(str, summary.compression))),
        ("legal sizes", summary.legal_sizes),
        *[(f"parameters, {part}", f"{count:,}") for part, count in summary.parameters.items()],
        ("weights in fp32", _mebibytes(summary.weight_bytes)),
        ("a latent sees", _reach(summary.encoder_radius, "pixels")),
        ("a pixel sees", _reach(summary.decoder_radius, "latents")),
        (f"at {T} x {H} x {W}", ""),
        ("  positions", f"{summary.positions:,}"),
        ("  tokens", "continuous" if summary.tokens is None else f"{summary.tokens:,}"),
        ("  bits per pixel", f"{summary.bits_per_pixel:.4f}"),
        ("  encode", f"{summary.encode_multiply_adds / 1e9:,.2f} G multiply-adds"),
        ("    activations", f"about {_mebibytes(summary.encode_bytes)} in fp32"),
        ("  decode", f"{summary.decode_multiply_adds / 1e9:,.2f} G multiply-adds"),
        ("    activations", f"about {_mebibytes(summary.decode_bytes)} in fp32"),
    ]
    for label, value in rows:
        print(f"{label:<24}{value}".rstrip())


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _reach(radius: int | None, unit: str) -> str:
    return "the whole frame" if radius is None else f"{radius} {unit} beyond its own cell"


def _load(name: str, device: str, dtype: str) -> Any:
    from .tokenizers.tokenizer import VisualTokenizer

    kind, place = _dtype(dtype), _device(device)
    tokenizer: Any = VisualTokenizer.from_pretrained(name, torch_dtype=kind)
    return tokenizer.to(place).eval()


def _dtype(name: str) -> Any:
    import torch

    return getattr(torch, _one_of("--dtype", name, ("float32", "bfloat16", "float16")))


def _device(name: str) -> str:
    from .device import resolve_device

    return resolve_device(name)


def _one_of(option: str, value: str, allowed: Any) -> Any:
    from .component import did_you_mean

    if value not in allowed:
        raise ValueError(
            f"{option} must be one of {', '.join(allowed)}, got {value!r}"
            f"{did_you_mean(value, allowed)}"
        )
    return value


def _report_bad(files: Any) -> None:
    for bad in files:
        kind = f" ({bad.exception})" if bad.exception not in bad.reason else ""
        sys.stderr.write(f"left out {bad.path}: {bad.reason}{kind}\n")


def _print_json(value: Any) -> None:
    from .output_file import dumps

    print(dumps(value))


def _inspection_rows(found: Any) -> list[tuple[str, str]]:
    """What `inspect` prints, line by line."""

    def common(counts: dict[str, int]) -> str:
        return ", ".join(f"{value} ({count})" for value, count in counts.items()) or "–"

    def span(values: Any, unit: str) -> str:
        if values is None:
            return "–"
        return f"{values.smallest:g} … {values.middle:g} … {values.largest:g} {unit}"

    return [
        ("images", f"{found.num_images}, {found.num_animated} of them animated"),
        ("videos", f"{found.num_videos}, {found.num_interlaced} of them interlaced"),
        ("bad files", str(len(found.bad))),
        ("other files", str(len(found.skipped))),
        ("common sizes", common(found.sizes)),
        ("short sides", span(found.short_side, "px")),
        ("frame rates", common(found.frame_rates)),
        ("durations", f"{span(found.seconds, 's')}, {found.total_seconds:.1f} s together"),
        ("frames per video", span(found.frames, "")),
        ("codecs", common(found.codecs)),
    ]


def _print_scores(rows: Any) -> None:
    """Print a table of the rows with the metrics only, since a terminal is narrow."""
    from rich.console import Console
    from rich.table import Table

    from .eval.report.table import table_of

    scores = table_of(rows)
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


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("vistok").setLevel(logging.INFO)
    try:
        app()
    except (KeyboardInterrupt, SystemExit) as stop:
        # Typer turns Ctrl-C into an exit with this code, without a word.
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        sys.stderr.write(
            "\ninterrupted; train, encode, eval and quickstart go on if started again\n"
        )
        sys.exit(INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        wrong_usage = isinstance(error, ValueError | FileNotFoundError) and not isinstance(
            error, FloatingPointError
        )
        sys.stderr.write(f"error: {error or type(error).__name__}\n")
        sys.exit(2 if wrong_usage else 1)
