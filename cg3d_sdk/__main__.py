"""`python -m cg3d_sdk`: the `cg3d` command, where its script is not on the path."""

from __future__ import annotations

from cg3d_sdk.cli.main import main

main(prog_name="cg3d")
