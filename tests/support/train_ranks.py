"""Several runs in turn, as one of torchrun's processes, and a sharded run looked into.

torchrun --nproc-per-node 2 train_ranks.py RUNS SHARDED_CONFIG SHARDED_FOLDER

RUNS is a JSON list of config, folder and settings. One start serves them all: to import torch takes
longer than any of them. The last one goes through the command line, which parts the processes.
"""

import json
import sys
from pathlib import Path

from commands import vistok
from sharded_run import look_into
from vistok.train.config.files import load_run_config
from vistok.train.loop import train


def main() -> None:
    """Run everything as this rank."""
    *runs, (config, output, settings) = json.loads(sys.argv[1])
    for one_config, one_output, its_settings in runs:
        train(load_run_config(one_config, its_settings), Path(one_output), show_progress=False)
    look_into(Path(sys.argv[2]), Path(sys.argv[3]))
    options = [part for setting in settings for part in ("--set", setting)]
    vistok("train", config, "--output", output, *options)


if __name__ == "__main__":
    main()
