"""The version of cg3d-sdk, in one place."""

__version__ = "0.1.0"
