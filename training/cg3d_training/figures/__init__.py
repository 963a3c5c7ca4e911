"""The figures of the paper as pictures and as pages that need no network."""
