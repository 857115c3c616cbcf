"""Privacy: what may leave the process."""
