"""The plan of an encoding job: what is encoded how, fixed before the first sample.

A job started again compares its plan with the stored one; if they are the same it finishes the
missing shards, otherwise it refuses and says what differs.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..data.sources.media import MediaFile
from ..output_file import dumps, write_text_whole

What = Literal["tokens", "latents"]
PLAN_FILE = "plan.json"
JOB_FILES = ("manifest.json", "bad_samples.jsonl", PLAN_FILE)


@dataclass(frozen=True)
class Plan:
    """Everything that decides the bytes of the shards.

    Attributes:
        what: tokens, or latents (both moments).
        tokenizer: where the tokenizer was loaded from.
        fingerprint: of the tokenizer.
        size: short side, in pixels.
        keep_aspect: whole images instead of square centre crops.
        frames: frames per clip; 1 encodes images.
        stride: step between the frames of a clip.
        batch_size: samples per forward pass.
        shard_size: samples per shard.
        num_samples: samples of the whole job.
        listing: hash of the input files' keys, in order.
    """

    what: What
    tokenizer: str
    fingerprint: str
    size: int
    keep_aspect: bool
    frames: int
    stride: int
    batch_size: int
    shard_size: int
    num_samples: int
    listing: str

    @property
    def num_shards(self) -> int:
        """Shards of the whole job."""
        return -(-self.num_samples // self.shard_size)

    def shard(self, index: int) -> range:
        """The samples of a shard."""
        start = index * self.shard_size
        return range(start, min(start + self.shard_size, self.num_samples))

    def claim(self, folder: Path, overwrite: bool) -> None:
        """Store the plan in the job's folder, or check that it is the one stored there.

        Raises:
            ValueError: the folder holds another job, or something else altogether.
        """
        path = folder / PLAN_FILE
        if overwrite and path.exists():
            for old in (*folder.glob("shard-*"), *(folder / name for name in JOB_FILES)):
                old.unlink(missing_ok=True)
        if path.exists():
            self._compare(json.loads(path.read_text(encoding="utf-8")), folder)
            return
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(
                f"output folder {folder} is not empty and holds no encoding job; "
                "choose another --output, or empty it yourself"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_text_whole(path, dumps(asdict(self)) + "\n")

    def _compare(self, stored: dict[str, Any], folder: Path) -> None:
        changed = [
            f"{key}: {stored.get(key)!r} there, {value!r} asked for"
            for key, value in asdict(self).items()
            if key != "tokenizer" and stored.get(key) != value
        ]
        if changed:
            raise ValueError(
                f"{folder} holds a job that differs:\n  "
                + "\n  ".join(changed)
                + "\nchoose another --output, or pass --overwrite to start afresh"
            )


def listing_hash(files: Sequence[MediaFile]) -> str:
    """SHA-256 of the keys, kinds and stamps (sizes, offsets) of the input files."""
    lines = [f"{file.key}\t{file.kind}\t{file.location.stamp()}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
