"""Training for cg3d-sdk: encoders, data, losses and recipes (torch)."""
