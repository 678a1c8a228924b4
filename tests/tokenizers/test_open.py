"""Jobs take a tokenizer, or the folder of a saved one, and paths as text."""

import pytest
import torch

from vistok import decode_shards, encode_source, load_image, reconstruct_file
from vistok.data.sources.bundled import SAMPLES
from vistok.tokenizers.open import open_tokenizer

PHOTO = SAMPLES / "images" / "kodim15.jpg"


def test_a_saved_tokenizer_is_loaded_for_use(image_tokenizer, saved_tokenizer):
    assert open_tokenizer(image_tokenizer) is image_tokenizer
    loaded = open_tokenizer(saved_tokenizer)
    assert not loaded.training
    assert torch.equal(next(loaded.parameters()), next(image_tokenizer.parameters()))
    with pytest.raises(FileNotFoundError):
        open_tokenizer("./none")


def test_the_jobs_of_the_command_line_take_names(image_tokenizer, saved_tokenizer, tmp_path):
    tokens, name = str(tmp_path / "tokens"), str(saved_tokenizer)
    result = encode_source(str(PHOTO), name, tokens, size=64)
    assert result.num_samples == 1
    (decoded,) = decode_shards(tokens, name, str(tmp_path / "decoded"))
    assert load_image(decoded).shape == (1, 3, 1, 64, 64)
    # The same weights: the shards are those of the tokenizer in memory, too.
    assert decode_shards(tokens, image_tokenizer, tmp_path / "again")
    restored = reconstruct_file(str(PHOTO), name, str(tmp_path / "restored"))
    assert load_image(restored.path).shape == load_image(PHOTO).shape
    with pytest.raises(ValueError, match="takes one image or video, samples:heldout has 4"):
        reconstruct_file("samples:heldout", name, tmp_path)
