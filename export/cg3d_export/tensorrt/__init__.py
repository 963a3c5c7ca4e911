"""Engines of TensorRT from a bundle's graphs, built on the machine that will run them.

No torch here: this room works on a robot with TensorRT and onnx alone.
"""
