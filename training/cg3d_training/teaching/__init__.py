"""Training a teacher of one's own: a CLIP, on rendered pictures and captions."""
