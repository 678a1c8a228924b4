"""Reading a stored encoding job: nothing damaged, foreign or missing goes unnoticed."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ..json_file import read_json
from .manifest import Manifest, make_manifest
from .plan import MANIFEST_FILE, PLAN_FILE, Plan
from .shard import StoredShard, check_same_job, read_shard, shard_name

log = logging.getLogger(__name__)

# Maximum number of missing files that a message lists.
MAX_LISTED = 10


def read_shards(folder: Path, partial: bool = False) -> list[StoredShard]:
    """Return the shards of a job, in order, compared with their sidecars, plan and manifest.

    Args:
        folder: folder of the job.
        partial: accept an incomplete job, and return its finished shards.

    Raises:
        FileNotFoundError: the folder contains no finished shards.
        ValueError: the job is incomplete, or a file is damaged or belongs to a different job.
    """
    paths = sorted(folder.glob("shard-*.parquet"), key=lambda path: (len(path.name), path.name))
    if not paths:
        raise FileNotFoundError(f"no token shards (shard-*.parquet) in {folder}")
    try:
        plan = read_json(folder / PLAN_FILE, Plan) if (folder / PLAN_FILE).exists() else None
        finished = [path for path in paths if path.with_suffix(".json").exists()]
        _report_missing(folder, plan, num_finished=len(finished), partial=partial)
        shards = [read_shard(path) for path in finished]
        _check_agreement(folder, plan, shards)
    except _IncompleteError:
        raise
    except ValueError as error:
        raise ValueError(
            f"{error}; run the same `vistok encode` command again to repair it, or move the file "
            "away and pass --partial"
        ) from error
    if not shards:
        raise FileNotFoundError(f"no finished token shards (with sidecars) in {folder}")
    return shards


class _IncompleteError(ValueError):
    """A job that lacks some of its files, but need not be damaged."""


def _report_missing(folder: Path, plan: Plan | None, num_finished: int, partial: bool) -> None:
    """Raise if a job lacks files, or only warn if an incomplete job is accepted."""
    listed = list(islice(_missing_files(folder, plan), MAX_LISTED + 1))
    if not listed:
        return
    more = ", ..." if len(listed) > MAX_LISTED else ""
    total = f" of {plan.num_shards}" if plan else ""
    state = (
        f"the encoding job in {folder} is incomplete: {num_finished}{total} shard(s) are finished, "
        f"missing: {', '.join(listed[:MAX_LISTED])}{more}"
    )
    if not partial:
        raise _IncompleteError(
            f"{state}; run the same `vistok encode` command again to finish it, or pass --partial "
            "to use the finished shards"
        )
    log.warning("%s", state)


def _missing_files(folder: Path, plan: Plan | None) -> Iterator[str]:
    """Yield the names of the files that a finished job would have and this one has not."""
    present = {path.name for path in folder.iterdir()}
    for name in (PLAN_FILE, MANIFEST_FILE):
        if name not in present:
            yield name
    for index in range(plan.num_shards if plan else 0):
        name = shard_name(index)
        for file in (name, Path(name).with_suffix(".json").name):
            if file not in present:
                yield file


def _check_agreement(folder: Path, plan: Plan | None, shards: Sequence[StoredShard]) -> None:
    """Raise unless all shards belong to one job, and the manifest describes them."""
    for shard in shards:
        if plan is not None:
            check_same_job(shard, plan, PLAN_FILE)
        else:
            check_same_job(shard, shards[0].metadata, shards[0].path.name)
    path = folder / MANIFEST_FILE
    if not (shards and path.exists()):
        return
    manifest = read_json(path, Manifest)
    expected = make_manifest(shards[0].metadata, [shard.info for shard in shards])
    listed = {entry.name: entry for entry in manifest.shards}
    for shard, entry in zip(shards, expected.shards, strict=True):
        if listed.get(entry.name) != entry:
            raise ValueError(f"{shard.path} is not the shard that {path.name} describes")
    # The finished shards of an incomplete job do not add up to the totals of its manifest.
    whole = len(shards) == len(manifest.shards)
    if whole and replace(manifest, tokenizer=expected.tokenizer) != expected:
        raise ValueError(f"{path} is damaged (its settings or totals are not those of the shards)")
