"""Scenes: cut into parts, in several ways, and asked with words."""
