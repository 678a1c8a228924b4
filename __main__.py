"""`python -m vistok …`, which is also what `accelerate launch -m vistok` and `torchrun -m vistok` run."""

from .cli import main

if __name__ == "__main__":
    main()
