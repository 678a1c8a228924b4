"""Rows of evaluations that did not run, with every field filled by hand."""

from dataclasses import replace

import torch

from planted import photos
from vistok.data.sources.media import BadFile
from vistok.eval.harness.examples import Example
from vistok.eval.harness.row import Row
from vistok.eval.protocols.protocol import CANONICAL, PROTOCOLS
from vistok.tokenizers.code_statistics import CodeUse


def examples(frames: int = 1, seed: int = 0) -> tuple[Example, ...]:
    """One sample per role; the worst is darkened, the best hardly."""
    generator = torch.Generator().manual_seed(seed)
    originals = photos(64, 4).expand(-1, -1, frames, -1, -1)
    roles = ("first", "worst", "median", "best")
    return tuple(
        Example(
            key=f"folder/sample {i}",
            role=role,
            scores={"psnr": 20.0 + 5 * i, "ssim": 0.5 + 0.1 * i},
            original=original.contiguous(),
            reconstruction=(original.float() * (0.5 + 0.12 * i)).byte(),
            latents=(torch.randn(5, frames, 8, 8, generator=generator),),
        )
        for i, (role, original) in enumerate(zip(roles, originals, strict=True))
    )


def row(name: str, rate: float | None, psnr: float, **changes) -> Row:
    """A row of four images under our own rules."""
    filled = Row(
        tokenizer=name,
        num_samples=4,
        size=64,
        frames=1,
        protocol=CANONICAL,
        metrics={"psnr": psnr, "psnr_pooled": psnr - 0.5, "ssim": 0.8, "rfid": 100 / psnr},
        intervals={"psnr": (psnr - 1, psnr + 1)},
        unavailable={"lpips_alex": "its weights are missing"},
        caveats={"rfid": "of 4 samples; below 10 000 it is too large"},
        bits_per_pixel=rate,
        empirical_bits_per_pixel=None,
        stored_bits_per_pixel=None,
        values_per_pixel=None,
        code_use=None,
        code_ranks=(),
        parameters=None,
        fingerprint=None,
        settings=None,
        extractors={},
        device="cpu",
        dtype=None,
        seed=0,
        encode_samples_per_second=None,
        decode_samples_per_second=None,
        peak_memory_bytes=None,
        per_sample=({"key": "folder/sample 0", "psnr": psnr},),
        bad_files=(),
        examples=examples(),
    )
    return replace(filled, **changes)


def discrete_row(name: str = "runs/fsq/tokenizer") -> Row:
    """A discrete tokenizer with everything that can be known of it."""
    use = CodeUse((0.5, 0.25), (9.0, 4.0), (3.17, 2.0), 0.2, 0.25)
    return row(
        name,
        0.25,
        24.0,
        empirical_bits_per_pixel=0.2,
        code_use=use,
        code_ranks=(((1, 0.5), (2, 0.3), (4, 0.05)), ((1, 0.7), (2, 0.3))),
        parameters=12_345,
        fingerprint="ab" * 32,
        extractors={"inception": "cd" * 32},
        dtype="float32",
        encode_samples_per_second=10.0,
        decode_samples_per_second=5.0,
        peak_memory_bytes=2**30,
        bad_files=(BadFile("a.png", "damaged", "OSError"),),
    )


def some_rows() -> list[Row]:
    """The images themselves, two tokenizers and a sweep of a codec."""
    return [
        row("identity", 24.0, float("inf"), examples=()),
        discrete_row(),
        row("diffusers:AutoencoderKL:vae", 1.0, 31.5, values_per_pixel=0.0625, parameters=10**6),
        *[
            row(f"jpeg:q={q}", q / 50, 20 + q / 6, stored_bits_per_pixel=q / 40)
            for q in (10, 50, 90)
        ],
    ]


def preset_row() -> Row:
    """A row under another protocol, with our own numbers beside it."""
    theirs = replace(discrete_row("paper/model"), protocol=PROTOCOLS["wetok"])
    return replace(theirs, canonical=discrete_row("paper/model"))
