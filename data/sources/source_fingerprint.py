"""Fingerprint of a source: a hash that changes if a file is added, moved or rewritten."""

import hashlib
from collections.abc import Sequence
from functools import cache

from .location import Location, StoredFile
from .media import MediaFile
from .parquet_table import ParquetCell
from .storage import stored_version
from .tar_shard import TarMember


def source_fingerprint(files: Sequence[MediaFile]) -> str:
    """Return the SHA-256 of the keys, locations, sizes and modification times (or tags) of files.

    Raises:
        OSError: a file is missing or cannot be reached.
    """
    version_of = cache(stored_version)  # queried once for all members of a tar
    digest = hashlib.sha256()
    for file in files:
        stored = version_of(_stored_name(file.location))
        line = [file.key, file.kind, file.path, file.location.fingerprint(), stored]
        digest.update(("\t".join(line) + "\n").encode())
    return digest.hexdigest()


def _stored_name(location: Location) -> str:
    """Return the file or URL that contains the bytes."""
    match location:
        case StoredFile():
            return location.name
        case TarMember():
            return location.tar
        case ParquetCell():
            return location.table
    raise AssertionError(f"unknown kind of location: {type(location).__name__}")
