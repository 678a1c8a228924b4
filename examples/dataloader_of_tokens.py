"""Encode a data set once, then train on its tokens with an ordinary DataLoader."""

from pathlib import Path

import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vistok import VisualTokenizer, encode_source

network = {"kind": "causal", "patch_size": 16, "stages": [{"width": 32, "blocks": 1}]}
tokenizer = VisualTokenizer(network, {"kind": "fsq"}, network).eval()  # or from_pretrained(...)
encode_source("samples:heldout", tokenizer, "tokens", size=64)


class Tokens(Dataset[Tensor]):
    """The tokens of every sample, read from the shards of an encoded data set."""

    def __init__(self, folder: Path) -> None:
        shards = sorted(folder.glob("*.parquet"))
        self.rows = [row for path in shards for row in pq.read_table(path)["tokens"].to_pylist()]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor(self.rows[index])


for batch in DataLoader(Tokens(Path("tokens")), batch_size=4, shuffle=True):
    print(f"tokens {tuple(batch.shape)} of {tokenizer.vocab_size} codes")
