"""From a recipe to a bundle: stages, their cache, record, gates, repair, packing."""
