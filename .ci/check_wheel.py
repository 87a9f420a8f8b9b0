"""Check an installed wheel, with the core dependencies and kafka-python beside it."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import files
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("lockstream"))


def main() -> None:
    """Import every package, ask for help, and make sure that nobody's files were overwritten."""
    ours = {str(file) for file in files("lockstream") or ()}
    packages = [str(Path(file).parent).replace("/", ".") for file in ours if file.endswith("/__init__.py")]
    for package in sorted(packages):
        import_module(package)
        print(f"imported {package}")
    import_module("lockstream.cli.main")

    overwritten = ours & {str(file) for file in files("kafka-python") or ()}
    client = import_module("kafka")
    if overwritten or not hasattr(client, "KafkaConsumer"):
        sys.exit(f"kafka-python's package was overwritten: {sorted(overwritten)}")
    print(f"kafka-python {client.__version__} is itself")

    subprocess.run([COMMAND, "--help"], check=True, timeout=30)
    for command in import_module("lockstream.cli.main").COMMANDS:
        subprocess.run([COMMAND, command, "--help"], check=True, timeout=30, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
