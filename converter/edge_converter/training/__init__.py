"""How every step trains: batches, loop, losses, augmentation, checkpoints."""
