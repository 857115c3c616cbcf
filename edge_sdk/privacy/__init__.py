"""Privacy: the gate through which images leave the process."""
