"""Several indices per position: how a language model reads them, and how they come back."""

import torch
from torch import nn

from vistok import VisualTokenizer

network = {"kind": "causal", "patch_size": 16, "stages": [{"width": 32, "blocks": 1}]}
quantizer = {"kind": "gq", "num_groups": 4, "bits_per_group": 8}
tokenizer = VisualTokenizer(network, quantizer, network).eval()  # or from_pretrained(...)

pixels = torch.rand(2, 3, 1, 64, 64) * 2 - 1
with torch.no_grad():
    e = tokenizer.encode(pixels)
groups, width = tokenizer.num_groups, 128

# Position by position, the groups of a position side by side; every group in its own range of one
# vocabulary of 4 * 256 codes, so that one table holds an embedding for each.
tokens = e.flat_tokens(offset=True)
embedding = nn.Embedding(tokenizer.vocab_size, width)

# (a) Flattened: four steps per position, an ordinary language model, a sequence four times as long.
flattened = embedding(tokens)

# (b) Summed: one step per position. A small head then predicts the four groups, one after the other
# or each by itself.
summed = embedding(tokens.unflatten(1, (-1, groups))).sum(dim=2)
head = nn.Linear(width, tokenizer.vocab_size)
logits = head(summed).unflatten(-1, (groups, tokenizer.codebook_size))

print(f"tokens {tuple(tokens.shape)}, vocabulary {tokenizer.vocab_size}")
print(f"flattened {tuple(flattened.shape)}, summed {tuple(summed.shape)}")

# Back: indices without offsets, in the same order, and the layout say all that decoding needs.
sampled = logits.argmax(dim=-1).flatten(1)
with torch.no_grad():
    images = tokenizer.decode_tokens(sampled, e.layout)
    restored = tokenizer.decode_tokens(e.tokens, e.layout)
assert torch.equal(e.tokens, tokens - 256 * (torch.arange(tokens.shape[1]) % groups))
torch.testing.assert_close(restored, tokenizer.decode(e.codes, e.layout))
print(f"images {tuple(images.shape)}")
