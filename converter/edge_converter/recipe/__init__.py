"""recipe.toml: its schema, loading, checks, and the project template of `edge-sdk init`."""
