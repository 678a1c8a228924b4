"""`python -m vistok …`, which is also what `accelerate launch -m` and `torchrun -m` run."""

from .cli.app import main

if __name__ == "__main__":
    main()
