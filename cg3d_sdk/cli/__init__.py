"""The `cg3d` command line, one module a verb."""
