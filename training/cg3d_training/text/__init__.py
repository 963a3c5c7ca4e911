"""A small text encoder that reproduces CLIP's vectors for a closed vocabulary of names."""
