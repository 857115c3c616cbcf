"""The `edge-sdk` command: its table, core's own commands, and all that prints."""
