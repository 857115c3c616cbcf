"""Steps of a recipe that change the model: one file and one table of the recipe each.

A step is the function of its file's name: NAME(recipe, data, target, checkpoints, *, source,
listen) -> StepResult. It reads the model at `source`, saves its own to `target` (.keras), and
leaves checkpoints to go on from. "train" has no source, "distill" a teacher and perhaps a student.
What compresses also has check(recipe, model), which raises ConfigError for a network that the step
could do nothing with, before that network is trained.
"""
