"""What every training run shares: its files, its randomness, its processes."""
