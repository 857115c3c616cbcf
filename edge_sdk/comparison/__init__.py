"""Bundles and models measured in interleaved rounds and ranked by dominance."""
