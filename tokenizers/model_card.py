"""The model card saved with the weights: everything a user needs to call the tokenizer."""

from pathlib import Path
from typing import Any

from ..models.blocks.latent_scale import LatentScale
from .bottlenecks.bottleneck import Bottleneck, Quantizer
from .bottlenecks.dual_path import paths_of
from .layout import SizeRule


def write_card(folder: Any, text: str) -> None:
    """Write `README.md`, unless the folder already has one."""
    path = Path(folder) / "README.md"
    if not path.exists():
        path.write_text(text, encoding="utf-8")


def add_provenance(folder: Any, text: str) -> None:
    """Append a section on the origin of the weights to the card."""
    with (Path(folder) / "README.md").open("a", encoding="utf-8") as card:
        card.write(f"\n## Provenance\n\n{text}\n")


def card_text(
    rule: SizeRule,
    bottleneck: Bottleneck,
    parameters: int,
    scale: LatentScale,
) -> str:
    """Return the card as Markdown with the hub's front matter.

    Args:
        rule: legal sizes.
        bottleneck: the tokenizer's.
        parameters: number of weights.
        scale: statistics of the latents.
    """
    paths, space = paths_of(bottleneck), rule.spatial_compression
    tokens: list[str] = []
    if isinstance(bottleneck, Quantizer):
        tokens.append(
            f"{bottleneck.num_groups} index(es) per position, codebook of "
            f"{bottleneck.codebook_size:,} codes per group"
        )
    if "continuous" in paths:
        tokens.append(f"continuous, {bottleneck.code_dim} channels")
    return f"""---
library_name: vistok
tags: [visual-tokenizer, {", ".join(paths)}]
---
# Visual tokenizer

| | |
|---|---|
| pixels | (B, 3, T, H, W), float in [-1, 1]; an image has T = 1 |
| legal sizes | {rule} (any size with `pad="replicate"`) |
| compression | {rule.temporal_compression} x {space} x {space} (time, height, width) |
| bottleneck | {type(bottleneck).__name__}: {"; ".join(tokens)} |
| latent scale | {_describe(scale)} |
| parameters | {parameters:,} |

```python
from vistok import VisualTokenizer

tokenizer = VisualTokenizer.from_pretrained("this folder")
encoding = tokenizer.encode(pixels)
pixels = tokenizer.decode(encoding.codes, encoding.layout)
```

License and training data: as stated by the publisher of these weights.
"""


def _describe(scale: LatentScale) -> str:
    """Return the statistics of latents in words."""
    values = {
        "mean": scale.latents_mean,
        "std": scale.latents_std,
        "scaling factor": scale.scaling_factor,
        "shift factor": scale.shift_factor,
    }
    known = ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
    side = scale.latent_patch_size
    packed = f"; normalized after packing squares of {side} x {side}" if side > 1 else ""
    return f"{known or 'not measured; latents are unscaled'}{packed}"
