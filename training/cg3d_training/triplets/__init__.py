"""Pre-training on triplets of points, pictures and captions: the method of the paper."""
