"""Steps of a recipe that change the model: one file, one table of the recipe."""
