"""What a machine has for running bundles, and what it lacks: `cg3d doctor`."""
