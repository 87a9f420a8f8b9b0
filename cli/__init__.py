"""The `lockstream` command."""
