"""The tables of the paper as commands: zero-shot, PointCLIP, pictures, probes, collected runs."""
