"""Training, as every step does it: batches, loop, losses, augmentation, checkpoints."""
