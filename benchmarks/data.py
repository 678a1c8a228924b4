"""Speed of reading training data, compared with a bare decode loop and with other loaders.

    python benchmarks/data.py [--images FOLDER] [--videos FOLDER] [--output results/data.md]

Every value is the median of several rounds, in which all candidates take turns, in one process (or
one worker) with one thread; rates count CPU seconds, so that other work on the machine does not
matter. The bare loop does the same work for each sample: open, decode, scale, crop, convert to a
tensor. All loaders read the same JPEGs from disk, or from a tar of them.
"""

import argparse
import io
import platform
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import psutil
import torch
import torchvision
import webdataset
import webdataset.compat
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from vistok.data.codecs.image import to_tensor
from vistok.data.codecs.video import read_frames
from vistok.data.resize import adm_resize
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.source import list_source
from vistok.data.training.crop import CropRules
from vistok.data.training.groups import WeightedFiles
from vistok.data.training.loader import TrainingLoader
from vistok.data.training.order import BatchPositions
from vistok.data.training.training_set import TrainingSet

ROUNDS, BATCH, SIZE, SHORT_SIDE = 5, 8, 224, 256


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, default=SAMPLES / "images")
    parser.add_argument("--videos", type=Path, default=SAMPLES / "videos")
    parser.add_argument("--limit", type=int, default=256, help="maximum number of files per kind")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results/data.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = list_source(arguments.images).of_kind("image")[: arguments.limit]
    videos = list_source(arguments.videos).of_kind("video")[: arguments.limit]
    with tempfile.TemporaryDirectory() as folder:
        tree, tar = Path(folder, "tree"), Path(folder, "images.tar")
        copy_images([Path(file.path) for file in images], tree / "all", tar)
        lines = [*head(len(images), len(videos)), *throughput(tree, tar, [v.path for v in videos])]
        lines += workers(tree, tar)
    text = "\n".join(lines) + "\n"
    print(text)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")


def head(num_images: int, num_videos: int) -> list[str]:
    """Describe the machine and the files read."""
    versions = {
        "torch": torch.__version__, "torchvision": torchvision.__version__,
        "webdataset": webdataset.__version__, "av": av.__version__, "Pillow": Image.__version__,
    }  # fmt: skip
    processor = platform.processor() or platform.machine()
    return [
        "# Reading data",
        "",
        f"Made by `python benchmarks/data.py` on {psutil.cpu_count()} cores ({processor}), "
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
        f"{num_images} JPEGs, short side to {SHORT_SIDE}, crops of {SIZE}, flips; "
        f"{num_videos} H.264 clips, every frame. Median of {ROUNDS} rounds, CPU seconds.",
        "",
    ]


def copy_images(paths: list[Path], folder: Path, tar: Path) -> None:
    """Write the same JPEGs to a class folder and to a WebDataset tar."""
    folder.mkdir(parents=True)
    with tarfile.open(tar, "w") as archive:
        for number, path in enumerate(paths):
            data = path.read_bytes()
            (folder / f"{number:06}.jpg").write_bytes(data)
            member = tarfile.TarInfo(f"{number:06}.jpg")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


# ---- candidates: each yields batches or frames ---------------------------------------------------


def transform() -> Callable[[Image.Image], torch.Tensor]:
    """Return the transform of a sample, from torchvision."""
    return v2.Compose([
        v2.Resize(SHORT_SIDE, v2.InterpolationMode.BICUBIC), v2.RandomCrop(SIZE),
        v2.RandomHorizontalFlip(), v2.PILToTensor(),
    ])  # fmt: skip


def bare_images(tree: Path) -> Iterator[torch.Tensor]:
    """Read images as our loader does, in a plain loop."""
    for path in sorted(tree.rglob("*.jpg")):
        with Image.open(path) as image:
            scaled = adm_resize(image.convert("RGB"), SHORT_SIDE)
        yield to_tensor(scaled.crop((0, 0, SIZE, SIZE))).flip(-1)


def ours(source: Path, workers: int) -> Iterator[torch.Tensor]:
    """Read one epoch with our loader."""
    files = list_source(source).files
    dataset = TrainingSet(
        [WeightedFiles(files)], CropRules(size=SIZE, short_side=SHORT_SIDE), seed=0
    )
    steps = len(files) // BATCH
    yield from TrainingLoader(dataset, BatchPositions(BATCH, 0, steps), workers)


def plain_torchvision(tree: Path, workers: int) -> Iterator[torch.Tensor]:
    """Read one epoch with ImageFolder and DataLoader."""
    dataset = ImageFolder(str(tree), transform())
    for clips, _ in DataLoader(dataset, BATCH, shuffle=True, num_workers=workers):
        yield clips


def own_webdataset(tar: Path, workers: int) -> Iterator[torch.Tensor]:
    """Read one epoch with WebDataset, including its shuffle buffer."""
    dataset: Any = (
        webdataset.compat.WebDataset(str(tar), shardshuffle=False, empty_check=False)
        .shuffle(100)
        .decode("pilrgb")
        .to_tuple("jpg")
        .map_tuple(transform())
        .batched(BATCH)
    )
    for (clips,) in DataLoader(dataset, batch_size=None, num_workers=workers):
        yield clips


def bare_frames(paths: Iterable[str]) -> Iterator[object]:
    """Decode and convert frames in a plain loop with one thread."""
    for path in paths:
        with av.open(path) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                yield frame.reformat(format="rgb24", threads=1).to_ndarray()


def our_frames(paths: Iterable[str]) -> Iterator[object]:
    """Decode the same frames with our reader."""
    for path in paths:
        yield from read_frames(path)


# ---- measurements --------------------------------------------------------------------------------


def throughput(tree: Path, tar: Path, videos: list[str]) -> list[str]:
    """Measure images and frames per second of one process."""
    images = {
        "bare decode loop": lambda: bare_images(tree),
        "vistok, folder": lambda: ours(tree, 0),
        "vistok, tar": lambda: ours(tar, 0),
        "torchvision ImageFolder + DataLoader": lambda: plain_torchvision(tree, 0),
        "webdataset pipeline": lambda: own_webdataset(tar, 0),
    }
    frames = {
        "bare decode loop": lambda: bare_frames(videos),
        "vistok": lambda: our_frames(videos),
    }
    return [*table("images/s per core", images), *table("frames/s per core", frames)]


def table(unit: str, candidates: Mapping[str, Callable[[], Iterator[object]]]) -> list[str]:
    """Measure rates and their ratios to that of the first candidate."""
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, make in candidates.items():
            start, count = time.process_time(), 0
            for item in make():
                count += len(item) if isinstance(item, torch.Tensor) and item.ndim > 3 else 1
            rates[name].append(count / (time.process_time() - start))
    base = next(iter(rates.values()))
    lines = [f"| reader | {unit} | against the bare loop |", "|---|---|---|"]
    for name, values in rates.items():
        ratio = statistics.median(v / b for v, b in zip(values, base, strict=True))
        lines.append(f"| {name} | {statistics.median(values):.0f} | {ratio:.2f} |")
    return [*lines, ""]


def workers(tree: Path, tar: Path) -> list[str]:
    """Measure the time to the first batch, and the memory used by one worker alone."""
    candidates = {
        "vistok, folder": lambda: ours(tree, 1),
        "vistok, tar": lambda: ours(tar, 1),
        "torchvision ImageFolder + DataLoader": lambda: plain_torchvision(tree, 1),
        "webdataset pipeline": lambda: own_webdataset(tar, 1),
    }
    lines = ["| reader, one worker | first batch, s | own memory of the worker, MiB |"]
    lines.append("|---|---|---|")
    for name, make in candidates.items():
        seconds, memory = [], []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            batches = make()
            next(batches)
            seconds.append(time.perf_counter() - start)
            for _ in range(10):
                next(batches, None)
            children = psutil.Process().children()
            memory.append(max((c.memory_full_info().uss for c in children), default=0) / 2**20)
            del batches
        row = f"| {name} | {statistics.median(seconds):.2f} | {statistics.median(memory):.0f} |"
        lines.append(row)
    return [*lines, ""]


if __name__ == "__main__":
    main()
