"""Smaller networks: pruning, weight clustering, quantization-aware training."""
