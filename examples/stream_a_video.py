"""Encode and decode a long video chunk by chunk, in constant memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vistok import VisualTokenizer, load_video

encoder = {
    "kind": "causal",
    "patch_size": 8,
    "stages": [{"width": 32, "blocks": 1, "temporal_kernel": 3, "resample": "strided", "time": 2}],
}
stage = {"width": 32, "blocks": 1, "temporal_kernel": 3, "resample": "nearest", "time": 2}
decoder = {"kind": "causal", "patch_size": 8, "stages": [stage]}
tokenizer = VisualTokenizer(encoder, {"kind": "fsq"}, decoder).eval()  # or from_pretrained(...)

clip = load_video("samples:asl_bird_0", frames=17)[..., :128, :128]  # (1, 3, 17, 128, 128)


def chunks() -> Iterator[Tensor]:
    """Yield the first frame, then four at a time; a real program reads them as it goes."""
    yield clip[:, :, :1]
    yield from clip[:, :, 1:].split(4, dim=2)


with torch.inference_mode():
    encodings = list(tokenizer.encode_stream(chunks()))
    frames = tokenizer.decode_stream(encoding.codes for encoding in encodings)
    streamed = torch.cat(list(frames), dim=2)
    whole = tokenizer.decode(tokenizer.encode(clip).codes)

print(f"{len(encodings)} chunks, latents of {[tuple(e.code.shape[2:]) for e in encodings]}")
print(f"largest difference from one piece: {(streamed - whole).abs().max():.1e}")
