"""The model card that lies beside saved weights: what a user must know to feed the tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .bottlenecks.bottleneck import Bottleneck, Quantizer
from .bottlenecks.dual_path import paths_of
from .layout import SizeRule


def write_card(folder: Any, text: str) -> None:
    """Write `README.md`, unless somebody already wrote one there."""
    path = Path(folder) / "README.md"
    if not path.exists():
        path.write_text(text, encoding="utf-8")


def add_provenance(folder: Any, text: str) -> None:
    """Say at the end of the card where the weights came from."""
    with (Path(folder) / "README.md").open("a", encoding="utf-8") as card:
        card.write(f"\n## Provenance\n\n{text}\n")


def card_text(
    rule: SizeRule,
    bottleneck: Bottleneck,
    parameters: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> str:
    """The card as Markdown with the hub's front matter."""
    paths = paths_of(bottleneck)
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
| compression | {rule.time} x {rule.space} x {rule.space} (time, height, width) |
| bottleneck | {type(bottleneck).__name__}: {"; ".join(tokens)} |
| latent scale | {scale} |
| parameters | {parameters:,} |

```python
from vistok import VisualTokenizer

tokenizer = VisualTokenizer.from_pretrained("this folder")
encoding = tokenizer.encode(pixels)
pixels = tokenizer.decode(encoding.codes, encoding.layout)
```

Licence and training data: as stated by whoever publishes these weights.
"""
