"""Tasks: what the numbers a model puts out mean. Pure functions, one file a task."""
