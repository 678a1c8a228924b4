"""The plan of an encoding job: its inputs and settings, fixed before the first sample.

A job that is started again compares its plan with the stored one: if they are equal it writes the
missing shards, otherwise it refuses and reports the differences.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from ..data.sources.media import MediaFile
from ..folder_lock import holds_nothing
from ..json_file import STRICT, read_json
from ..output_file import dumps, write_text_whole

What = Literal["tokens", "latents"]
PLAN_FILE = "plan.json"
MANIFEST_FILE = "manifest.json"
BAD_FILE = "bad_samples.jsonl"
JOB_FILES = (MANIFEST_FILE, BAD_FILE, PLAN_FILE)


@dataclass(frozen=True)
class Plan:
    """All settings that determine the bytes of the shards.

    Attributes:
        what: tokens, or latents (both moments).
        tokenizer: path or name that the tokenizer was loaded from.
        fingerprint: fingerprint of the tokenizer.
        size: short side, in pixels.
        keep_aspect: whole images instead of square center crops.
        frames: number of frames per clip; 1 encodes images.
        stride: step between the frames of a clip.
        batch_size: number of samples per forward pass.
        shard_size: number of samples per shard.
        num_samples: number of samples of the whole job.
        listing: hash of the listed input files, in order.
    """

    __pydantic_config__ = STRICT

    what: What
    tokenizer: str
    fingerprint: str
    size: PositiveInt
    keep_aspect: bool
    frames: PositiveInt
    stride: PositiveInt
    batch_size: PositiveInt
    shard_size: PositiveInt
    num_samples: NonNegativeInt
    listing: str

    @property
    def num_shards(self) -> int:
        """Number of shards of the whole job."""
        return -(-self.num_samples // self.shard_size)

    def shard(self, index: int) -> range:
        """Return the indices of the samples of a shard."""
        start = index * self.shard_size
        return range(start, min(start + self.shard_size, self.num_samples))

    def prepare(self, folder: Path, overwrite: bool) -> None:
        """Store the plan in the folder of the job, or check that it equals the stored one.

        Raises:
            ValueError: the folder holds another job, other files, or a damaged plan.
        """
        path = folder / PLAN_FILE
        if overwrite and path.exists():
            shards = (*folder.glob("shard-*"), *folder.glob(".shard-*.partial.*"))
            for old in (*shards, *(folder / name for name in JOB_FILES)):
                old.unlink(missing_ok=True)
        if path.exists():
            self._compare(path)
            return
        if not holds_nothing(folder):
            raise ValueError(
                f"output folder {folder} is not empty and does not contain an encoding job; "
                "choose another --output, or empty the folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_text_whole(path, dumps(asdict(self)) + "\n")

    def differences(self, other: "Plan") -> list[str]:
        """Return `setting: value there, value here` for all that differs from another plan.

        The name of the tokenizer is not compared: its fingerprint identifies it.
        """
        return [
            f"{field.name}: {getattr(other, field.name)!r} there, {here!r} requested"
            for field in fields(Plan)
            if field.name != "tokenizer"
            and (here := getattr(self, field.name)) != getattr(other, field.name)
        ]

    def _compare(self, path: Path) -> None:
        """Raise if the plan stored in a file is damaged or differs from this one."""
        try:
            stored = read_json(path, Plan)
        except ValueError as error:
            raise ValueError(
                f"{error}; restore it, or pass --overwrite to start the job afresh"
            ) from error
        changed = self.differences(stored)
        if changed:
            raise ValueError(
                f"{path.parent} contains a different job:\n  "
                + "\n  ".join(changed)
                + "\nchoose another --output, or pass --overwrite to replace it"
            )


def listing_hash(files: Sequence[MediaFile]) -> str:
    """Return the SHA-256 of the keys, kinds and fingerprints (sizes, offsets) of input files."""
    lines = [f"{file.key}\t{file.kind}\t{file.location.fingerprint()}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
