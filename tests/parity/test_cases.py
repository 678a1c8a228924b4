"""The bundled reference tensors: small, described, and enough to run a test of each family."""

from pathlib import Path

import pytest

from parity import cases_folder

CASES = Path(__file__).parent / "cases"
FAMILIES = ("ltx", "onevae", "wetok")
MOST_BYTES = 300_000


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_one_small_case_with_its_origin_beside_it(family):
    (tensors,) = (CASES / family).glob("*.safetensors")
    (sidecar,) = (CASES / family).glob("*.json")
    assert tensors.stem == sidecar.stem
    assert tensors.stat().st_size + sidecar.stat().st_size <= MOST_BYTES
    origin = (CASES / "README.md").read_text(encoding="utf-8")
    (row,) = (line for line in origin.splitlines() if f"`{family}/{tensors.stem}`" in line)
    assert "Apache-2.0" in row
    assert "commit" in row or "release" in row


def test_the_bundled_cases_serve_where_no_other_folder_is(tmp_path):
    assert cases_folder(tmp_path) == tmp_path
    assert cases_folder(tmp_path / "absent") == CASES
