"""How far choices that papers do not state move PSNR, SSIM and rFID, measured on any images.

    python benchmarks/evaluation_traps.py FOLDER [--limit N] [--docs docs]

writes evaluation_traps.json and evaluation_traps.svg into the folder of the docs, and the table in
evaluation.md between its two marks. Nothing is downloaded: the distance of distributions runs on
the first layers of an InceptionV3 with seeded random weights, so its value means nothing; how it
depends on the number of samples is a property of the estimator.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl
import torch
import torch.nn.functional as F
import torchvision
from matplotlib import pyplot as plt
from PIL import Image
from torch import Tensor

from vistok.data.codecs.image import read_image, to_tensor
from vistok.data.pixels import to_pixels, to_uint8
from vistok.data.resize import adm_center_crop, pillow_center_crop
from vistok.data.sources.source import list_source
from vistok.eval.metrics.feature_statistics import FeatureStatistics
from vistok.eval.metrics.frechet import frechet_distance
from vistok.eval.metrics.psnr import psnr_from_mse, squared_errors
from vistok.eval.metrics.ssim import similarity_maps
from vistok.eval.reconstructors.image_codec import ImageCodec
from vistok.progress import track

SIZE = 256
QUALITIES = (10, 30, 50, 90)
RESIZED_AT = 1.5  # resizing is measured on images at least this many times the target
FEW = 60  # images for what is averaged over images
FEATURES = 64
DRAWS = 400
MARKS = ("<!-- traps: written by benchmarks/evaluation_traps.py -->", "<!-- end of traps -->")


@dataclass(frozen=True)
class Measured:
    """One line of the table.

    Attributes:
        trap: which choice.
        setting: what was chosen.
        value: the number that comes out.
        unit: of the number.
        change: against the first setting of the trap, in words.
    """

    trap: str
    setting: str
    value: float
    unit: str
    change: str


# ---- resizing ------------------------------------------------------------------------------------


def crop_by(resampling: Image.Resampling) -> Callable[[Image.Image], Tensor]:
    """Short side to the target with one Pillow filter, then the central square."""
    return lambda image: to_tensor(pillow_center_crop(image, SIZE, resampling))


def crop_without_antialias(image: Image.Image) -> Tensor:
    """`F.interpolate(mode="bilinear")`, which looks at four neighbours however far it shrinks."""
    pixels = to_pixels(to_tensor(image))[None]
    scale = SIZE / min(image.size)
    size = round(image.height * scale), round(image.width * scale)
    small = to_uint8(F.interpolate(pixels, size, mode="bilinear"))[0]
    top, left = (size[0] - SIZE) // 2, (size[1] - SIZE) // 2
    return small[:, top : top + SIZE, left : left + SIZE]


RESIZES: dict[str, Callable[[Image.Image], Tensor]] = {
    "ADM (box halvings, bicubic)": lambda image: to_tensor(adm_center_crop(image, SIZE)),
    "Pillow bicubic": crop_by(Image.Resampling.BICUBIC),
    "Pillow bilinear": crop_by(Image.Resampling.BILINEAR),
    "Pillow Lanczos": crop_by(Image.Resampling.LANCZOS),
    "tensor bilinear, no antialias": crop_without_antialias,
}


def resizing(images: Sequence[Image.Image]) -> list[Measured]:
    """PSNR of the same codec after different resizes of the same images."""
    codec = ImageCodec("jpeg", 50)
    values = {}
    for name, crop in RESIZES.items():
        clips = torch.stack([crop(image) for image in images]).unsqueeze(2)
        values[name] = mean_psnr(clips, reconstruct(codec, clips))
    return lines("resize before the crop", values, "dB", 2)


# ---- rounding, averaging, windows ----------------------------------------------------------------


def truncation(clips: Tensor) -> list[Measured]:
    """PSNR when the original is loaded by `((x + 1) / 2 * 255)` cut off, instead of rounded."""
    grey = torch.arange(256, dtype=torch.uint8)
    moved = int((truncated(grey) != grey).sum())
    found = [Measured("truncation", "gray levels of the original that change", moved, "of 256", "")]
    generator = torch.Generator().manual_seed(0)
    kept = clips.clamp(24, 231)  # noise then stays inside the range
    for decibels in (25, 40, 50):
        sigma = 255 * 10 ** (-decibels / 20)
        noise = sigma * torch.randn(kept.shape, generator=generator)
        decoded = (kept + noise).round().clamp(0, 255).byte()
        plain, cut = mean_psnr(kept, decoded), mean_psnr(truncated(kept), decoded)
        name = f"reconstruction of {decibels} dB"
        found.append(Measured("truncation", name, cut, "dB", f"{cut - plain:+.2f}"))
    return found


def truncated(clips: Tensor) -> Tensor:
    """As published loaders do it: normalised, kept in float32, cut off on the way back."""
    loaded = (clips.double() / 127.5 - 1).float()
    return ((loaded + 1) / 2 * 255).byte()


def averaging(clips: Tensor) -> list[Measured]:
    """Mean of the images' PSNR against PSNR of their pooled error."""
    found = []
    for quality in QUALITIES:
        restored = reconstruct(ImageCodec("jpeg", quality), clips)
        mean = mean_psnr(clips, restored)
        pooled = psnr_from_mse(squared_errors(clips, restored).mean().item())
        setting = f"pooled error, JPEG {quality}"
        found.append(Measured("PSNR average", setting, pooled, "dB", f"{pooled - mean:+.2f}"))
    return found


def ssim_variants(clips: Tensor) -> list[Measured]:
    """One reconstruction, and what is called its SSIM."""
    restored = reconstruct(ImageCodec("jpeg", 30), clips)
    a, b = clips[:, :, 0].float(), restored[:, :, 0].float()
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey_a, grey_b = ((x * luma).sum(dim=1, keepdim=True) for x in (a, b))
    values = {
        "Gaussian 11 x 11": ssim(a, b),
        "uniform 7 x 7": ssim(a, b, "uniform7"),
        "Gaussian, on luma": ssim(grey_a, grey_b),
        # The constants stand for a range of 255: halving the values is a range declared twice as
        # wide, and dividing by 255 is images in [0, 1] under constants for 8 bits.
        "Gaussian, range declared twice too wide": ssim(a / 2, b / 2),
        "Gaussian, images in [0, 1], range 255": ssim(a / 255, b / 255),
        "Gaussian, after 2 x 2 averages": ssim(F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)),
    }
    return lines("SSIM of one reconstruction", values, "", 3)


def ssim(a: Tensor, b: Tensor, window: Any = "gaussian11") -> float:
    """Mean over images, a few at a time."""
    means = []
    for x, y in zip(a.split(16), b.split(16), strict=True):
        luminance, contrast = similarity_maps(x, y, window)
        means += (luminance * contrast).mean(dim=(1, 2, 3)).tolist()
    return fmean(means)


# ---- sample count --------------------------------------------------------------------------------


def sample_count(clips: Tensor) -> list[Measured]:
    """The Fréchet distance of paired sets against the number of images in them."""
    restored = reconstruct(ImageCodec("jpeg", 20), clips)
    before, after = random_features(clips), random_features(restored)
    generator = torch.Generator().manual_seed(0)
    counts = [n for n in (96, 128, 192, 256, 384, 512, 768) if n <= len(clips) // 2] + [len(clips)]
    means = {}
    for count in counts:
        draws = 1 if count == len(clips) else DRAWS
        chosen = [torch.randperm(len(clips), generator=generator)[:count] for _ in range(draws)]
        means[count] = fmean(distance(before[index], after[index]) for index in chosen)
    limit = at_infinity(means)
    return [
        Measured(
            "samples of a Fréchet distance",
            f"{count} images, {count / FEATURES:.1f} per feature",
            value / limit,
            "of its limit",
            f"{100 * (value / limit - 1):+.0f} %",
        )
        for count, value in means.items()
    ]


def random_features(clips: Tensor) -> Tensor:
    """The 64 channels behind InceptionV3's first pooling, averaged; weights are random."""
    torch.manual_seed(0)
    network = torchvision.models.inception_v3(weights=None, init_weights=False).eval()
    stem = torch.nn.Sequential(
        network.Conv2d_1a_3x3, network.Conv2d_2a_3x3, network.Conv2d_2b_3x3, network.maxpool1
    )
    shares = track(clips[:, :, 0].split(16), "features", -(-len(clips) // 16))
    with torch.inference_mode():
        found = [stem(F.avg_pool2d(to_pixels(share), 2)).mean(dim=(2, 3)) for share in shares]
    return torch.cat(found)


def distance(before: Tensor, after: Tensor) -> float:
    """The Fréchet distance of two sets of features."""
    sides = []
    for features in (before, after):
        statistics = FeatureStatistics(FEATURES)
        statistics.add([str(i) for i in range(len(features))], features.unsqueeze(1))
        sides.append(statistics)
    return frechet_distance(*sides)


def at_infinity(means: dict[int, float]) -> float:
    """The constant of a straight line through the means over 1 / N (arXiv 1911.07023)."""
    inverse = torch.tensor([[1.0, 1 / count] for count in means], dtype=torch.float64)
    values = torch.tensor(list(means.values()), dtype=torch.float64)
    return torch.linalg.lstsq(inverse, values.unsqueeze(1)).solution[0].item()


# ---- all together --------------------------------------------------------------------------------


def reconstruct(codec: ImageCodec, clips: Tensor) -> Tensor:
    """Images after a codec."""
    return codec.reconstruct(clips, [str(i) for i in range(len(clips))]).clips


def mean_psnr(before: Tensor, after: Tensor) -> float:
    """Mean over images."""
    return fmean(psnr_from_mse(error) for error in squared_errors(before, after).flatten().tolist())


def lines(trap: str, values: dict[str, float], unit: str, digits: int) -> list[Measured]:
    """Lines whose change is counted from the first setting."""
    first = next(iter(values.values()))
    return [
        Measured(trap, name, value, unit, "" if value is first else f"{value - first:+.{digits}f}")
        for name, value in values.items()
    ]


def table(measured: Sequence[Measured], notes: Sequence[str]) -> str:
    """Markdown between the marks."""
    rows = ["| choice | setting | result | change |", "|---|---|---:|---:|"]
    before = None
    for line in measured:
        digits = ".0f" if line.unit == "of 256" else ".2f" if line.unit == "dB" else ".3f"
        name = line.trap if line.trap != before else ""
        result = f"{line.value:{digits}} {line.unit}".strip()
        rows.append(f"| {name} | {line.setting} | {result} | {line.change} |")
        before = line.trap
    return "\n".join([MARKS[0], "", *notes, "", *rows, "", MARKS[1]])


def draw(measured: Sequence[Measured], path: Path) -> None:
    """One panel per trap; what stands first is what the others are compared with."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "vistok", "font.size": 9})
    shown = [line for line in measured if line.unit != "of 256"]
    traps = list(dict.fromkeys(line.trap for line in shown))
    figure, panels = plt.subplots(2, 3, figsize=(12, 5.6), layout="constrained")
    for trap, panel in zip(traps, panels.flat, strict=False):
        members = [line for line in shown if line.trap == trap]
        values = [line.value for line in members]
        panel.barh(range(len(members)), values, color="#3874cb")
        panel.set_yticks(range(len(members)), [line.setting for line in members])
        panel.invert_yaxis()
        room = 0.12 * (max(values) - min(values)) or 1.0
        panel.set_xlim(min(values) - 3 * room, max(values) + 2 * room)
        for i, line in enumerate(members):
            panel.text(line.value, i, f" {line.change}", va="center", fontsize=8)
        panel.set_title(trap)
        panel.set_xlabel(members[0].unit or "SSIM")
        panel.spines[["top", "right"]].set_visible(False)
    for panel in list(panels.flat)[len(traps) :]:
        panel.axis("off")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--docs", type=Path, default=Path(__file__).parents[1] / "docs")
    given = parser.parse_args()
    files = list_source(given.folder).of_kind("image")
    files = files[:: max(1, len(files) // (given.limit or len(files)))]
    images, large = [], []
    for file in track(files, "reading", len(files)):
        image = read_image(file.location)
        if min(image.size) >= SIZE:
            images.append(to_tensor(adm_center_crop(image, SIZE)))
        if min(image.size) >= RESIZED_AT * SIZE:
            large.append(image)
    if not large:
        sys.exit(f"no image of {given.folder} has a short side of {RESIZED_AT * SIZE:.0f} pixels")
    clips = torch.stack(images).unsqueeze(2)
    few = clips[:: max(1, len(clips) // FEW)]
    measured = [
        *resizing(large),
        *truncation(few),
        *averaging(few),
        *ssim_variants(few),
        *sample_count(clips),
    ]
    notes = [
        f"JPEG stands for the tokenizer. Resizing is measured on the {len(large)} images whose "
        f"short side has {RESIZED_AT * SIZE:.0f} pixels or more, the number of samples on all "
        f"{len(clips)}, everything else on every {max(1, len(clips) // FEW)}th of them "
        f"({len(few)}), at {SIZE} x {SIZE}."
    ]
    (given.docs / "evaluation_traps.json").write_text(
        json.dumps({"notes": notes, "measured": [asdict(line) for line in measured]}, indent=1)
        + "\n"
    )
    draw(measured, given.docs / "evaluation_traps.svg")
    page = given.docs / "evaluation.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page.write_text(before + table(measured, notes) + after, encoding="utf-8")
    print(table(measured, notes))


if __name__ == "__main__":
    main()
