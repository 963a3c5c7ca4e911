"""Knowing what is not known: scores that are true, and what is refused."""
