"""Several runs in turn, as one of torchrun's processes, and a sharded run looked into.

torchrun --nproc-per-node 2 train_ranks.py RUNS SHARDED_CONFIG SHARDED_FOLDER

RUNS is a JSON list of config, folder and settings. One start serves them all: to import torch takes
longer than any of them. The last one goes through the command line, which parts the processes.
"""

import json
import os
import sys
from pathlib import Path

from commands import vistok
from sharded_run import look_into
from vistok.train.config.files import load_run_config
from vistok.train.loop import train


def resume_on_local_disks(config: str, folder: Path) -> None:
    """Train and resume with a folder per rank: only the first one finds what there is to resume."""
    rank = int(os.environ["RANK"])
    for steps, from_checkpoint in ((1, None), (2, 1 if rank == 0 else None), (2, None)):
        options = load_run_config(config, [f"train.steps={steps}"])
        where = {"output": folder / f"local-{rank}", "from_checkpoint": from_checkpoint}
        assert train(options, show_progress=False, **where).step == steps


def main() -> None:
    """Run everything as this rank."""
    *runs, (config, output, settings) = json.loads(sys.argv[1])
    for one_config, one_output, its_settings in runs:
        train(load_run_config(one_config, its_settings), Path(one_output), show_progress=False)
    resume_on_local_disks(sys.argv[2], Path(sys.argv[3]))
    look_into(Path(sys.argv[2]), Path(sys.argv[3]))
    options = [part for setting in settings for part in ("--set", setting)]
    vistok("train", config, "--output", output, *options)


if __name__ == "__main__":
    main()
