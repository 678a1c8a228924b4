"""report.json: typed, complete, readable by every JSON parser, as its shipped schema says."""

import json

import jsonschema
import pytest

from made_rows import discrete_row, preset_row, some_rows
from vistok.eval.diagnostics.finding import Finding
from vistok.eval.harness.row import Row
from vistok.eval.protocols.protocol import CANONICAL
from vistok.eval.report.report import Report
from vistok.eval.report.schema import SCHEMA_FILE, ReportEntry, json_schema


def written(folder, rows, battery=()):
    Report("a source", CANONICAL, rows, battery=battery).write(folder)
    return json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)


def test_the_shipped_schema_is_that_of_the_code():
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == json_schema(), "run `make schema`"


def test_a_report_follows_the_schema_and_reads_back(tmp_path):
    battery = [Finding("flicker", "identity", {"flicker_levels": 0.0}, "still")]
    value = written(tmp_path, [*some_rows(), preset_row()], battery)
    jsonschema.validate(value, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    assert ReportEntry.model_validate(value).model_dump(mode="json") == value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**value, "rows": [{"tokenizer": "x"}]}, json_schema())


def test_rows_are_read_back_with_their_values_and_only_under_their_own_rules(tmp_path):
    rows = [*some_rows(), preset_row()]
    value = written(tmp_path, rows)
    read = ReportEntry.model_validate(value).rows
    assert [row.metrics for row in read] == [row.metrics for row in rows]
    assert [row.per_sample for row in read] == [row.per_sample for row in rows]
    assert [row.protocol for row in read] == [row.protocol for row in rows]
    assert read[-1].canonical is not None
    assert read[-1].canonical.protocol == CANONICAL
    value["rows"][0]["protocol_hash"] = "0" * 12
    with pytest.raises(ValueError, match="the row was made under other rules"):
        ReportEntry.model_validate(value)


def test_infinity_is_null_beside_a_flag_wherever_it_stands(tmp_path):
    battery = [Finding("drift", "identity", {"psnr_1_db": float("inf")}, "none")]
    value = written(tmp_path, some_rows(), battery)
    perfect, finite = value["rows"][:2]
    assert (perfect["metrics"]["psnr"], perfect["metrics"]["psnr_infinite"]) == (None, True)
    assert perfect["per_sample"][0]["psnr"] is None
    assert perfect["intervals"]["psnr"] == [None, None]
    assert finite["metrics"]["psnr"] == 24.0
    assert "psnr_infinite" not in finite["metrics"]
    assert value["battery"][0]["numbers"] == {"psnr_1_db": None, "psnr_1_db_infinite": True}


def test_every_result_of_a_row_but_its_examples_is_written(tmp_path):
    (entry,) = written(tmp_path, [discrete_row()])["rows"]
    fields = set(Row.__dataclass_fields__) - {"examples", "partial_scores"}
    assert fields <= entry.keys()
    assert entry["code_use"]["entropy"] == [3.17, 2.0]
    assert entry["bad_files"] == [{"path": "a.png", "reason": "damaged", "exception": "OSError"}]


def test_a_preset_carries_its_canonical_row(tmp_path):
    (entry,) = written(tmp_path, [preset_row()])["rows"]
    assert entry["protocol"] == "wetok"
    assert entry["canonical"]["protocol"] == "vistok-eval-v1"
    assert entry["protocol_hash"] != entry["canonical"]["protocol_hash"]
