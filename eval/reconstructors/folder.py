"""Somebody else's reconstructions: a folder of images or clips, matched by relative name.

    sample kodak/kodim09 (from kodak/kodim09.png)   DIR/kodak/kodim09.png, .webp, ... any format
    clip   birds/crow    (from birds/crow.mp4)      DIR/birds/crow/ with one image per frame, in
                                                    the order of their names, or DIR/birds/crow.mkv

Files hold what came back for the very pixels that the protocol scores: the crops, not the whole
images. A reconstruction of another size is refused, since resizing it would hide its errors.
Clips read from a lossy file carry that file's errors too; folders of PNG frames do not.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from ...data.codecs.image import read_image, to_tensor
from ...data.codecs.video import read_frames
from ...data.sources.media import MediaFile
from ...data.sources.source import list_source
from ...data.sources.source_fingerprint import source_fingerprint
from .reconstructor import Clips, Reconstruction, Reconstructor

SHOWN = 5


class Folder(Reconstructor):
    """Reconstructions that lie in a folder.

    Args:
        path: the folder.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it holds no images and no clips.
    """

    accepts_any_input = False

    def __init__(self, path: str) -> None:
        if not Path(path).is_dir():
            raise FileNotFoundError(f"folder:{path}: there is no such folder")
        self.name, self.path = f"folder:{path}", path
        listing = list_source(path)
        self.settings = f"{len(listing.files)} files"
        self._files = {file.key: file for file in listing.files}
        self._frames: dict[str, list[MediaFile]] = {}
        for file in sorted(listing.of_kind("image"), key=lambda file: file.key):
            parent = file.key.rpartition("/")[0]
            self._frames.setdefault(parent, []).append(file)

    @property
    def fingerprint(self) -> str:
        """Of the files' names, sizes and times."""
        return source_fingerprint(list(self._files.values()))

    def check(self, keys: Sequence[str]) -> None:
        """Raise where a sample has no reconstruction."""
        missing = [key for key in keys if key not in self._files and key not in self._frames]
        if missing:
            shown = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
            raise ValueError(
                f"{self.name} lacks {len(missing)} of {len(keys)} reconstructions: {shown}; each "
                "is found by the sample's name in the source without its extension, e.g. "
                f"{self.path}/{missing[0]}.png (clips: a folder {self.path}/{missing[0]} of "
                "frames); a damaged original asks for its reconstruction, too: take it out of the "
                "source"
            )

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Read the reconstructions of these samples.

        Raises:
            ValueError: one is missing, or of another size or length than its sample.
            OSError: one cannot be read.
        """
        self.check(keys)
        restored = [self._read(key, clip) for key, clip in zip(keys, clips, strict=True)]
        return Reconstruction(torch.stack(restored), None, None, None)

    def _read(self, key: str, clip: UInt8[Tensor, "3 T H W"]) -> UInt8[Tensor, "3 T H W"]:
        _, T, H, W = clip.shape
        frames = self._read_frames(key, T)
        sizes = {(frame.shape[1], frame.shape[2]) for frame in frames}
        if len(frames) != T or sizes != {(H, W)}:
            found = " and ".join(f"{height} x {width}" for height, width in sorted(sizes))
            raise ValueError(
                f"{self.name}: the reconstruction of {key} must be {T} frame(s) of {H} x {W} "
                f"pixels (height x width), got {len(frames)} of {found}; save what your model made "
                "of the evaluated crop, without resizing it"
            )
        return torch.stack(frames, dim=1)

    def _read_frames(self, key: str, count: int) -> list[Tensor]:
        """At most one frame more than asked for, so that too long a clip is noticed."""
        if key not in self._files:
            files = self._frames[key][: count + 1]
            return [to_tensor(read_image(file.location)) for file in files]
        file = self._files[key]
        if file.serves("video") and count > 1:
            return list(islice(read_frames(file.location), count + 1))
        return [to_tensor(read_image(file.location))]
