"""Pictures, as the image encoder of a bundle takes them."""

from cg3d_runtime.images.preprocess import prepare_image, resized
from cg3d_runtime.images.read import read_image

__all__ = ["prepare_image", "read_image", "resized"]
