"""The `cg3d-train` command: one module a verb."""
