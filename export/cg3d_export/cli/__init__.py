"""The command `cg3d-export`. Light: torch is imported when a checkpoint is exported."""
