"""Row: the scores of one reconstructor, with everything they depend on.

The fields of `Row` are the keys of a row in report.json; a new result is declared only here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    computed_field,
    model_validator,
)
from pydantic.dataclasses import dataclass

from ...data.sources.media import BadFile
from ...tokenizers.code_statistics import CodeUse
from ..protocols.protocol import Protocol, protocol_by_name
from .examples import Example
from .json_values import Interval, NamedValues, SampleValues

_CONFIG = ConfigDict(
    extra="forbid",
    use_attribute_docstrings=True,
    json_schema_serialization_defaults_required=True,
)


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Row:
    """The scores of one reconstructor."""

    tokenizer: str
    """Name as given by the user."""
    num_samples: int
    """Number of images or clips that were scored."""
    size: int
    """Side of the crops, in pixels."""
    frames: int
    """Frames per clip."""
    protocol: Annotated[Protocol, PlainSerializer(lambda rules: rules.name, return_type=str)]
    """Rules of the evaluation; in JSON the name of the protocol."""
    metrics: NamedValues
    """All metrics by name; `psnr` in dB averages samples, `psnr_pooled` pools the squared error."""
    intervals: dict[str, Interval]
    """Bootstrap 95 % intervals of the means of values per sample."""
    unavailable: dict[str, str]
    """Metrics that could not be computed, each with the reason."""
    caveats: dict[str, str]
    """Metrics, and `empirical_bits_per_pixel`, that cannot be taken at face value, each with the
    reason."""
    bits_per_pixel: float | None
    """Rate over unpadded pixels: nominal for tokenizers, actual for codecs."""
    empirical_bits_per_pixel: float | None
    """Rate from the entropy of the indices, group by group."""
    stored_bits_per_pixel: float | None
    """Rate of a codec's files including their containers."""
    values_per_pixel: float | None
    """Latent values per pixel of a continuous tokenizer."""
    code_use: CodeUse | None
    """Use of the codebooks over the whole evaluation, group by group; null without a codebook."""
    code_ranks: tuple[tuple[tuple[int, float], ...], ...] = Field(repr=False)
    """Per group, (rank, share of the vectors) of selected codes, the most frequent first."""
    settings: str | None
    """Readable description of other settings that affect the result, such as a codec's options."""
    parameters: int | None
    """Number of weights."""
    fingerprint: str | None
    """Hash of the tokenizer's weights and config."""
    extractors: dict[str, str]
    """SHA-256 of the weights of learned metrics, by extractor or metric."""
    device: str
    """Device that the tokenizer ran on."""
    dtype: str | None
    """Dtype of the tokenizer's weights."""
    seed: int
    """Random seed of injected noise and of random subsets."""
    encode_samples_per_second: float | None
    """Encoding speed, measured on batches that ran without other work."""
    decode_samples_per_second: float | None
    """Decoding speed, measured on batches that ran without other work."""
    peak_memory_bytes: int | None
    """Peak memory of the accelerator, else of the whole process, including that of the metrics."""
    per_sample: tuple[SampleValues, ...] = Field(repr=False)
    """Key and values of every sample."""
    bad_files: tuple[BadFile, ...] = Field(repr=False)
    """Files that could not be read, or are neither images nor videos."""
    examples: Sequence[InstanceOf[Example]] = Field(default=(), repr=False, exclude=True)
    """Samples to look at: the first ones, and the worst, median and best ones."""
    canonical: "Row | None" = Field(default=None, repr=False)
    """The row under the canonical protocol, if `protocol` is another one."""
    partial_scores: Path | None = Field(default=None, repr=False, exclude=True)
    """Folder of its stored scores, until `remove_partial_scores` removes them."""

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={value:.4g}" for name, value in self.metrics.items())
        return f"Row(tokenizer={self.tokenizer!r}, num_samples={self.num_samples}, {metrics})"

    @computed_field
    @property
    def protocol_hash(self) -> str:
        """Hash of the protocol's rules."""
        return self.protocol.hash

    @model_validator(mode="before")
    @classmethod
    def _read_protocol(cls, stored: Any) -> Any:
        """Replace name and hash of the protocol, as report.json stores them, by the protocol."""
        if not isinstance(stored, dict) or "protocol_hash" not in stored:
            return stored
        values = dict(stored)
        protocol, stored_hash = protocol_by_name(values["protocol"]), values.pop("protocol_hash")
        if stored_hash != protocol.hash:
            raise ValueError(
                f"protocol {protocol.name} has the hash {protocol.hash}, got {stored_hash}; the "
                "row was made under other rules"
            )
        return {**values, "protocol": protocol}


def with_canonical(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield every row, each row of a preset followed by its canonical row."""
    for row in rows:
        yield row
        if row.canonical is not None:
            yield row.canonical
