"""What a model takes and answers: the values that a manifest holds and a task reads."""
