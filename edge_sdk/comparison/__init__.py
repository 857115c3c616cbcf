"""Bundles and models measured in interleaved rounds, ranked, and who dominates whom."""
