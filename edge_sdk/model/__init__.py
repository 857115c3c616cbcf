"""Values that describe a model: its tensors, and what is done before and after them."""
