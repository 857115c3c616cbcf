"""Energy and latency of an inference on a board, labelled MODEL."""
