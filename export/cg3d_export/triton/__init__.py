"""Model repositories for Triton Inference Server, made from a bundle."""

from cg3d_export.triton.config import Serving
from cg3d_export.triton.repository import TritonRepository, write_triton

__all__ = ["Serving", "TritonRepository", "write_triton"]
