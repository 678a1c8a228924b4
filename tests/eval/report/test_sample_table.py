"""The table of samples: every value can be told from every other by its words."""

import pyarrow.parquet as pq

from made_rows import discrete_row, preset_row
from vistok.eval.report.sample_table import write_sample_table


def test_a_preset_is_followed_by_its_samples_under_our_own_rules(tmp_path):
    path = tmp_path / "new" / "samples.parquet"
    write_sample_table(path, [preset_row(), discrete_row("ours")])
    table = pq.read_table(path)
    assert table.column_names == ["tokenizer", "protocol", "key", "psnr"]
    assert [(row["tokenizer"], row["protocol"]) for row in table.to_pylist()] == [
        ("paper/model", "wetok"),
        ("paper/model", "vistok-eval-v1"),
        ("ours", "vistok-eval-v1"),
    ]
