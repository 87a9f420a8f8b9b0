"""``python -m lockstream.cli``: the `lockstream` command of this very interpreter."""

from lockstream.cli.main import main

main()
