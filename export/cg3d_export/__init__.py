"""Export for cg3d-sdk: checkpoint to ONNX to a bundle that has proved itself."""
