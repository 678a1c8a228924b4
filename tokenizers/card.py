"""The model card that lies beside saved weights: what a user must know to feed the tokenizer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tokenizer import VisualTokenizer


def write_card(tokenizer: "VisualTokenizer", folder: Any) -> None:
    """Write `README.md`, unless somebody already wrote one there."""
    path = Path(folder) / "README.md"
    if not path.exists():
        path.write_text(card_text(tokenizer), encoding="utf-8")


def card_text(tokenizer: "VisualTokenizer") -> str:
    """The card as Markdown with the hub's front matter."""
    time, space = tokenizer.temporal_compression, tokenizer.spatial_compression
    parameters = sum(p.numel() for p in tokenizer.parameters())
    bottleneck = tokenizer.bottleneck
    if tokenizer.is_discrete:
        tokens = (
            f"{tokenizer.num_groups} index(es) per position, codebook of "
            f"{tokenizer.codebook_size:,} codes per group"
        )
    else:
        tokens = f"continuous, {bottleneck.code_dim} channels"
    mean, std = tokenizer.config["latents_mean"], tokenizer.config["latents_std"]
    scale = f"mean {mean}, std {std}" if mean and std else "not measured; latents are unscaled"
    return f"""---
library_name: vistok
tags: [visual-tokenizer, {"discrete" if tokenizer.is_discrete else "continuous"}]
---
# Visual tokenizer

| | |
|---|---|
| pixels | (B, 3, T, H, W), float in [-1, 1]; an image has T = 1 |
| legal sizes | {tokenizer.size_rule} (any size with `pad="replicate"`) |
| compression | {time} x {space} x {space} (time, height, width) |
| bottleneck | {type(bottleneck).__name__}: {tokens} |
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
