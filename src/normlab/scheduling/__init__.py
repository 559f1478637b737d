"""How the stages are run: what DVC needs to be right before it starts."""
