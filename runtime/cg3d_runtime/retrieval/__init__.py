"""Finding shapes by the vectors of shapes, words or pictures."""

from cg3d_runtime.retrieval.index import ExactIndex
from cg3d_runtime.retrieval.protocol import Hit, Origin, VectorIndex, origin_of

__all__ = ["ExactIndex", "Hit", "Origin", "VectorIndex", "origin_of"]
