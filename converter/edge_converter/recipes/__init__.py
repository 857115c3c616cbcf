"""Built-in recipes: `edge-sdk build recipe:NAME`."""
