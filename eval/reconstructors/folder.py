"""Existing reconstructions of any system: a folder of images or clips, matched by relative name.

    image  kodak/kodim09 (from kodak/kodim09.png)   DIR/kodak/kodim09.png, .webp, ... any format
    clip   birds/crow    (from birds/crow.mp4)      DIR/birds/crow/ with one image per frame, in
                                                    the order of their names, or DIR/birds/crow.mkv

The files must contain reconstructions of exactly the pixels that the protocol scores: the crops,
not the whole images. A reconstruction of another size is refused, since resizing it would hide its
errors. Clips read from a lossy file also carry that file's errors; folders of PNG frames do not.
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

MAX_LISTED = 5


class Folder(Reconstructor):
    """A folder of existing reconstructions.

    Args:
        path: path of the folder.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: the folder contains neither images nor clips.
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
        """Hash of the files' names, sizes and times."""
        return source_fingerprint(list(self._files.values()))

    def check(self, keys: Sequence[str]) -> None:
        """Raise if a sample has no reconstruction.

        Raises:
            ValueError: samples without a reconstruction, with the names of the first ones.
        """
        missing = [key for key in keys if key not in self._files and key not in self._frames]
        if missing:
            listed = ", ".join(missing[:MAX_LISTED]) + (", ..." if missing[MAX_LISTED:] else "")
            raise ValueError(
                f"{self.name} lacks {len(missing)} of {len(keys)} reconstructions: {listed}; each "
                "is found by the sample's name in the source without its extension, e.g. "
                f"{self.path}/{missing[0]}.png (clips: a folder {self.path}/{missing[0]} of "
                "frames); a damaged original needs a reconstruction, too: remove it from the source"
            )

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Read the reconstructions of these samples.

        Raises:
            ValueError: a reconstruction is missing, or differs from its sample in size or length.
            OSError: a reconstruction cannot be read.
        """
        self.check(keys)
        restored = [self._read(key, clip) for key, clip in zip(keys, clips, strict=True)]
        return Reconstruction(clips=torch.stack(restored))

    def _read(self, key: str, clip: UInt8[Tensor, "3 T H W"]) -> UInt8[Tensor, "3 T H W"]:
        _, T, H, W = clip.shape
        frames = self._read_frames(key, T)
        sizes = {(frame.shape[1], frame.shape[2]) for frame in frames}
        if len(frames) != T or sizes != {(H, W)}:
            found = " and ".join(f"{height} x {width}" for height, width in sorted(sizes))
            raise ValueError(
                f"{self.name}: the reconstruction of {key} must be {T} frame(s) of {H} x {W} "
                f"pixels (height x width), got {len(frames)} of {found}; save the reconstruction "
                "of the evaluated crop, without resizing it"
            )
        return torch.stack(frames, dim=1)

    def _read_frames(self, key: str, count: int) -> list[Tensor]:
        """Read at most one frame more than `count`, which is enough to notice a longer clip."""
        if key not in self._files:
            files = self._frames[key][: count + 1]
            return [to_tensor(read_image(file.location)) for file in files]
        file = self._files[key]
        if file.serves("video") and count > 1:
            return list(islice(read_frames(file.location), count + 1))
        return [to_tensor(read_image(file.location))]
