"""The model card saved with the weights: everything a user needs to call the tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> str:
    """Return the card as Markdown with the hub's front matter.

    Args:
        rule: legal sizes.
        bottleneck: the tokenizer's.
        parameters: number of weights.
        mean: mean of every latent channel over a data set, or None where it was not measured.
        std: standard deviation likewise.
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
    scale = f"mean {mean}, std {std}" if mean and std else "not measured; latents are unscaled"
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
| latent scale | {scale} |
| parameters | {parameters:,} |

```python
from vistok import VisualTokenizer

tokenizer = VisualTokenizer.from_pretrained("this folder")
encoding = tokenizer.encode(pixels)
pixels = tokenizer.decode(encoding.codes, encoding.layout)
```

License and training data: as stated by the publisher of these weights.
"""
