"""The command line as a user runs it.

Real processes show with which code a command ends; the other commands run in the process of the
tests, since to import torch takes seconds.
"""

import json
import shutil
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from PIL import Image

from commands import run_process, vistok
from full_disk import full_disk
from tiny import tiny_image_configs, tiny_wetok
from video_frames import count_frames
from vistok.data.codecs.image import read_image


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run trained through the command line."""
    folder = tmp_path_factory.mktemp("cli")
    encoder, decoder = tiny_image_configs()
    config = {
        "extends": "quickstart",
        "model": {"encoder": encoder, "decoder": decoder},
        "data": {"size": 32},
        "train": {"steps": 4, "batch_size": 2, "warmup_steps": 1},
        "eval": {"size": 64, "every_steps": 2},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    result = vistok("train", folder / "tiny.yaml", "--output", folder / "run", "--seed", 3)
    assert "batch_size: 2" in result.stderr, "the resolved config is shown"
    assert result.stdout.strip() == f"tokenizer: {folder / 'run' / 'tokenizer'}"
    return folder / "run"


@pytest.fixture(scope="module")
def tokenizer(run) -> Path:
    return run / "tokenizer"


def test_the_run_keeps_its_resolved_config(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["train"]["seed"] == 3
    assert config["train"]["optimizer"]["betas"] == [0.9, 0.95]
    embedded = next((run / "checkpoints").iterdir()) / "config.yaml"
    assert yaml.safe_load(embedded.read_text()) == config


def test_a_run_resumes_with_a_setting_that_may_change(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    command = ["train", run.parent / "tiny.yaml", "--output", folder, "--seed", 3]
    command += ["--set", "train.steps=5", "--set", "train.lr=1e-5"]
    refused = vistok(*command, code=2)
    assert "add --allow-change train.lr" in refused.stderr
    for key, message in (("train.seed", "--allow-change train.seed has the same value"),
                         ("model", "--allow-change model has the same value")):  # fmt: skip
        options = ["--allow-change", "train.lr", "--allow-change", key]
        assert message in vistok(*command, *options, code=2).stderr
    vistok(*command, "--allow-change", "train.lr")
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert [change["key"] for change in last["changes"]] == ["train.lr", "train.steps"]
    assert "train.lr" in (folder / "config.yaml").read_text().splitlines()[1]


def test_dry_run_prints_the_config_and_starts_nothing(tmp_path):
    result = vistok("train", "image_kl_f8", "--dry-run", "--output", tmp_path / "run",
                    "--set", "data.source=somewhere")  # fmt: skip
    assert yaml.safe_load(result.stdout)["model"]["bottleneck"]["kind"] == "kl"
    assert not (tmp_path / "run").exists()


def test_pictures_go_to_tokens_and_back(tokenizer, tmp_path):
    arguments = ("--tokenizer", tokenizer, "--output", tmp_path / "tokens", "--size", 64)
    result = vistok("encode", "samples:heldout", *arguments)
    assert result.stdout.startswith("4 samples in 1 shard(s), 1 new")
    again = vistok("encode", "samples:heldout", *arguments, "--json")
    assert json.loads(again.stdout)["shards_written"] == 0
    vistok("decode", tmp_path / "tokens", "--tokenizer", tokenizer, "--output", tmp_path / "out",
           "--keys", "images/kodim15")  # fmt: skip
    assert read_image(tmp_path / "out" / "images" / "kodim15.png").size == (64, 64)


def test_an_incomplete_job_is_decoded_only_on_request(tokenizer, tmp_path):
    tokens, tool = tmp_path / "tokens", ("--tokenizer", tokenizer)
    vistok("encode", "samples:heldout", *tool, "--output", tokens, "--size", 64,
           "--shard-size", 3)  # fmt: skip
    for file in tokens.glob("shard-00001.*"):
        file.unlink()
    decode = ("decode", tokens, *tool, "--output", tmp_path / "out")
    refused = vistok(*decode, code=2)
    assert "missing: shard-00001.parquet, shard-00001.json" in refused.stderr
    assert "--partial" in refused.stderr
    result = vistok(*decode, "--partial")
    assert result.stdout.startswith("3 file(s)")
    assert "incomplete" in result.stderr


def test_a_photo_and_a_clip_are_reconstructed(tokenizer, tmp_path):
    from vistok.data.sources.bundled import SAMPLES

    photo, clip = SAMPLES / "images" / "kodim15.jpg", SAMPLES / "videos" / "asl_bird_0.mp4"
    result = vistok("reconstruct", photo, clip, "--tokenizer", tokenizer, "--output", tmp_path,
                    "--json")  # fmt: skip
    first, second = json.loads(result.stdout)
    assert read_image(first["path"]).size == (384, 256)
    assert count_frames(second["path"]) == second["frames"] == 49
    refused = vistok("reconstruct", photo, "--tokenizer", tokenizer, "--output", tmp_path, code=2)
    assert "exists already" in refused.stderr


def test_a_full_disk_ends_a_reconstruction_with_the_path_of_the_result(tokenizer, tmp_path):
    output = tmp_path / "out"
    with full_disk(5000):
        result = vistok("reconstruct", "samples:heldout", "--tokenizer", tokenizer, "--output",
                        output, code=1)  # fmt: skip
    assert "kodim09.png" in result.stderr
    assert "left out" not in result.stderr
    assert not list(output.rglob("*.png"))


def test_scores_and_report(tokenizer, tmp_path):
    arguments = ("--tokenizer", tokenizer, "--tokenizer", "bicubic:f=8", "--tokenizer", "identity")
    output = ("--output", tmp_path / "report", "--size", 64)
    (tmp_path / "report" / "parts").mkdir(parents=True)
    (tmp_path / "report" / "parts" / "notes.txt").write_text("somebody's own")
    result = vistok("eval", "samples:heldout", *arguments, *output)
    assert "bicubic:f=8" in result.stdout
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [row["tokenizer"] for row in report["rows"]] == [
        str(tokenizer),
        "bicubic:f=8",
        "identity",
    ]
    assert (tmp_path / "report" / "report.html").is_file()
    assert [path for path in (tmp_path / "report").rglob("*") if "part" in path.name] == [
        tmp_path / "report" / "parts"
    ]
    assert (tmp_path / "report" / "parts" / "notes.txt").is_file()


def test_files_that_cannot_be_read_are_said_once(tmp_path):
    source, output = tmp_path / "pictures", tmp_path / "report"
    source.mkdir()
    Image.new("RGB", (64, 64), "teal").save(source / "a.png")
    (source / "broken.png").write_bytes((source / "a.png").read_bytes()[:60])
    subjects = ("--tokenizer", "identity", "--tokenizer", "bicubic:f=2")
    result = vistok(
        "eval", source, *subjects, "--output", output, "--size", 64, "--metrics", "psnr"
    )
    assert result.stderr.count(f"left out {source / 'broken.png'}") == 1
    assert (output / "report.md").read_text().count(f"left out {source / 'broken.png'}") == 1


def test_a_required_metric_without_weights_fails_after_the_report(tmp_path, monkeypatch):
    monkeypatch.setenv("VISTOK_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    output = tmp_path / "report"
    arguments = ("eval", "samples:heldout", "--tokenizer", "identity", "--output", output,
                 "--size", 64, "--metrics", "psnr", "--cache", tmp_path / "cache")  # fmt: skip
    result = vistok(*arguments, "--require", "rfid", code=1)
    assert "required, but unavailable: rfid of identity" in result.stderr
    (row,) = json.loads((output / "report.json").read_text())["rows"]
    assert "weights-inception-2015-12-05-6726825d.pth" in row["unavailable"]["rfid"]
    assert row["metrics"]["psnr_infinite"] is True
    assert sorted(path.name for path in output.iterdir() if path.is_dir()) == []
    assert (output / "samples.parquet").is_file()


@pytest.mark.slow
def test_torchruns_processes_share_an_evaluation(tmp_path):
    launch = ["torch.distributed.run", "--nproc-per-node", "2", "-m", "vistok"]
    arguments = ["eval", "samples:heldout", "--tokenizer", "bicubic:f=4", "--size", "64",
                 "--metrics", "psnr,ssim", "--limit", "3", "--device", "cpu"]  # fmt: skip
    output = ["--output", str(tmp_path / "two")]
    command = [sys.executable, "-m", *launch, *arguments, *output]
    result = run_process(command, timeout=240)
    assert result.returncode == 0, result.stderr
    vistok(*arguments, "--output", tmp_path / "one")
    two, one = (
        json.loads((tmp_path / name / "report.json").read_text())["rows"] for name in ("two", "one")
    )
    assert two[0]["num_samples"] == 3
    assert two[0]["metrics"] == pytest.approx(one[0]["metrics"])


def test_info_describes_configs_and_tokenizers(tokenizer):
    config = json.loads(vistok("info", "video_fsq_4x8x8", "--json").stdout)
    assert config["compression"] == [4, 8, 8]
    assert config["size"] == [17, 128, 128]
    assert config["tokens"] == 5 * 16 * 16
    saved = json.loads(vistok("info", tokenizer, "--json", "--size", 64).stdout)
    assert saved["tokens"] == 64
    parts = saved["parameters"]
    assert parts["total"] == parts["encoder"] + parts["bottleneck"] + parts["decoder"]


def test_a_published_checkpoint_becomes_a_tokenizer_and_back(tmp_path):
    tiny_wetok(generative=True).save_pretrained(tmp_path / "mine")
    made = vistok("convert", "wetok", tmp_path / "mine", "--output", tmp_path / "file", "--reverse")
    checkpoint = tmp_path / "file" / "WeTok.ckpt"
    assert made.stdout.strip() == f"checkpoint: {checkpoint}"
    result = vistok("convert", "wetok", checkpoint, "--output", tmp_path / "again",
                    "--bits-per-group", 4, "--json")  # fmt: skip
    found = json.loads(result.stdout)
    assert found["ignored"] == {
        "raw weights that have an average": found["used"],
        "record of the averaging": 2,
    }
    weights = "diffusion_pytorch_model.safetensors"
    original, again = (tmp_path / name / weights for name in ("mine", "again"))
    assert original.read_bytes() == again.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "wan", "x.ckpt", "--output", "x"],
         "family must be one of diffusers, kl, wetok, got 'wan'"),
        (["convert", "wetok", "x.ckpt", "--output", "x"], "no checkpoint at x.ckpt"),
        (["convert", "wetok", "x", "--output", "y", "--reverse", "--weights", "raw"],
         "--weights has no effect with --reverse"),
        (["train", "quickstart", "--set", "train.lrr=1"], "train.lrr: unknown key; did you mean"),
        (["train", "quikstart"], "did you mean quickstart?"),
        (["train", "quickstart", "--set", "data.source=./nothing"], "'./nothing' does not exist"),
        (["train", "quickstart", "--device", "warp"], "device auto or cpu, got 'warp'"),
        (["train", "image_fsq_f8"], "data.source is not set"),
        (["eval", "samples:heldout", "--tokenizer", "./none", "--output", "x"], "no tokenizer at"),
        (["eval", "samples:heldout", "--tokenizer", "identity", "--output", "x", "--protocol", "0"],
         "--protocol must be one of vistok-eval-v1, wetok, vidtok, tokenbench, titok, got '0'"),
        (["encode", "samples:all", "--output", "x"], "Missing option '--tokenizer'"),
        (["info", "nothing.yaml"], "no config 'nothing.yaml'"),
        *[
            (["quickstart", "--minutes", minutes], "--minutes must be at least 0.5 and at most")
            for minutes in ("0.1", "0", "-1", "nan", "inf", "1e9")
        ],
        *[
            (["encode", "samples:all", "--tokenizer", "x", "--output", "x", *option],
             "Invalid value")
            for option in (("--max-bad", "nan"), ("--max-bad", "inf"), ("--max-bad", "-1"),
                           ("--size", "1" * 30), ("--frames", "-1"), ("--workers", "1" * 30))
        ],
        (["eval", "samples:all", "--tokenizer", "identity", "--output", "x", "--seed", "1" * 30],
         "Invalid value"),
        (["train", "quickstart", "--seed", "1" * 30], "train.seed: input should be less than"),
        (["train", "image_fsq_f8", "--set", "data.sorce=x"], "data.sorce: unknown key"),
    ],
)  # fmt: skip
def test_wrong_usage_is_code_2_and_one_message(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = vistok(*arguments, code=2)
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not any(tmp_path.iterdir()), "nothing was written"


# Commands that end in every way there is, behind the real entrance.
ENDS = """
import os, signal
from vistok.cli.app import app, main

@app.command()
def answer():
    print("42")

@app.command()
def wait():
    os.kill(os.getpid(), signal.SIGINT)

@app.command()
def fail(usage: bool = False):
    raise ValueError("not like this") if usage else RuntimeError("out of luck")

main()
"""


def end(*arguments: str, code: int) -> CompletedProcess[str]:
    result = run_process([sys.executable, "-c", ENDS, *arguments])
    assert result.returncode == code, result.stderr
    return result


def test_the_exit_code_says_how_a_command_ended():
    assert end("answer", code=0).stdout == "42\n"
    assert end("fail", code=1).stderr == "error: out of luck\n"
    assert end("fail", "--usage", code=2).stderr == "error: not like this\n"
    assert "No such command 'flee'" in end("flee", code=2).stderr


def test_an_interrupted_command_says_what_goes_on():
    result = end("wait", code=130)
    assert result.stderr.strip() == (
        "interrupted; train, encode, decode, eval and quickstart resume if run again"
    )


def test_debug_shows_the_traceback():
    result = end("fail", "--usage", "--debug", code=2)
    assert "Traceback" in result.stderr
    assert "ValueError: not like this" in result.stderr


def test_inspect_counts_a_source_and_draws_its_sheet(tmp_path):
    sheet = tmp_path / "sheet.png"
    result = vistok("inspect", "samples:all", "--output", sheet, "--quick", "--json")
    found = json.loads(result.stdout)
    assert (found["num_images"], found["num_videos"], found["bad"]) == (15, 7, [])
    assert read_image(sheet).width > 1000
    assert "inspecting 22/22" in result.stderr
