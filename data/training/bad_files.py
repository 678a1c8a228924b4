"""The bad files of a run: each is logged once, and too many stop the run."""

import logging
from collections.abc import Sequence

from ..sources.media import BadFile, bad_limit, bad_lines

log = logging.getLogger(__name__)


class BadFileLog:
    """Bad files so far, compared with the number of them that is accepted.

    The number of files of a stream is unknown: a share is then one of the files read so far, in
    which a file counts each time.

    Args:
        max_bad: bad files that are accepted; see `bad_limit`.
        num_files: number of files of the training set; None if it is streamed.

    Attributes:
        files: bad files so far, by path.
    """

    def __init__(self, max_bad: float, num_files: int | None) -> None:
        self.files: dict[str, BadFile] = {}
        self._max_bad, self._num_files = max_bad, num_files
        self._num_good = self._num_bad = 0

    def note(self, bad: Sequence[BadFile], num_good: int = 0) -> None:
        """Log new bad files, and raise if there are too many.

        Args:
            bad: files that could not be read.
            num_good: number of files that were read besides.

        Raises:
            OSError: there are more bad files than are accepted.
        """
        self._num_good += num_good
        self._num_bad += len(bad)
        for file in bad:
            if file.path not in self.files:
                self.files[file.path] = file
                log.warning("skipping %s: %s (%s)", file.path, file.reason, file.exception)
        if self._num_files is not None:
            limit, total = bad_limit(self._max_bad, self._num_files), f"{self._num_files}"
        else:
            limit, total = self._limit_of_stream(), f"about {self._num_good + self._num_bad}"
        if len(self.files) > limit:
            raise OSError(
                f"{len(self.files)} of {total} training files cannot be read, "
                f"data.max_bad={self._max_bad:g} accepts {limit}:{bad_lines(self.files.values())}\n"
                "`vistok inspect SOURCE` lists all of them; repair the source or raise data.max_bad"
            )

    def _limit_of_stream(self) -> int:
        """Return the accepted number of different bad files among those that were read so far."""
        accepted = bad_limit(self._max_bad, 0)
        share = self._max_bad * (self._num_good + self._num_bad)
        within_share = self._max_bad < 1 and self._num_bad <= share
        return max(accepted, len(self.files)) if within_share else accepted
