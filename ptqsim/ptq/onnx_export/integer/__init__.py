"""An integer-only network as an ONNX file in which every value is an integer, and its check against ONNX Runtime."""
