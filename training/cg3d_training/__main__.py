"""`python -m cg3d_training` is `cg3d-train`; so is `torchrun -m cg3d_training`."""

from cg3d_training.cli.main import main

if __name__ == "__main__":
    main(prog_name="cg3d-train")
