"""The version of a listing: a hash that changes when a file of it is added, moved or rewritten."""

import hashlib
from collections.abc import Sequence
from functools import cache

from .location import Location, StoredFile
from .media import MediaFile
from .parquet_table import ParquetCell
from .storage import stored_version
from .tar_shard import TarMember


def source_fingerprint(files: Sequence[MediaFile]) -> str:
    """SHA-256 of the names, places, sizes and modification times (or entity tags) of files.

    Raises:
        OSError: one is gone, or cannot be reached.
    """
    version_of = cache(stored_version)  # a tar holds many files, but is asked once
    digest = hashlib.sha256()
    for file in files:
        stored = version_of(_stored_name(file.location))
        line = [file.key, file.kind, file.path, file.location.stamp(), stored]
        digest.update(("\t".join(line) + "\n").encode())
    return digest.hexdigest()


def _stored_name(location: Location) -> str:
    """The file or URL that holds the bytes."""
    match location:
        case StoredFile():
            return location.name
        case TarMember():
            return location.tar
        case ParquetCell():
            return location.table
    raise AssertionError(f"a kind of location without a file: {type(location).__name__}")
