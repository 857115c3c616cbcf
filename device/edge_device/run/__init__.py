"""Streaming: from a camera through a bundle's model to sinks."""
