# Lockstream with its simulations, archiver and analysis, and an MPI library: docs/how-to/containers.md.
#
#   docker build --tag lockstream:0.1.0 .
#
# Where builds have no internet, the wheels can come from a folder:
#
#   docker build --build-context wheels=FOLDER --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/wheels .

# Empty, unless the build is given a context of this name.
FROM scratch AS wheels

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/lockstream/bin:$PATH \
    PYTHONUNBUFFERED=1

FROM base AS build
# pip takes its options from variables of these names, and passes over empty ones.
ARG PIP_NO_INDEX PIP_FIND_LINKS
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/lockstream
WORKDIR /src
# What Lockstream needs comes before Lockstream: a change of the sources does not install it all again.
# The embedded broker and its Java stay out: in a container, Kafka is another container.
COPY constraints.txt pyproject.toml ./
RUN --mount=type=bind,from=wheels,target=/wheels <<END
set -e
python >requirements.txt <<SCRIPT
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
print(*project["build-system"]["requires"], *project["project"]["dependencies"], sep="\n")
print(*(need for extra in ("mpich", "models", "analysis") for need in project["project"]["optional-dependencies"][extra]), sep="\n")
SCRIPT
pip install --only-binary :all: --constraint constraints.txt --requirement requirements.txt
END
COPY . .
RUN pip install --no-deps --no-build-isolation . && pip uninstall --yes setuptools pip

FROM base
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Lockstream" \
      org.opencontainers.image.description="Streams every timestep of an MPI simulation through Kafka into verified HDF5 archives" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause" \
      org.opencontainers.image.revision="$REVISION"
# 1000 is the first ordinary user of most machines: what is written to a mounted folder is then theirs. New volumes take
# over who may write to a folder here, and that is anybody, for those who give another --user.
RUN useradd --uid 1000 --user-group --create-home lockstream \
    && install --directory --mode 1777 /archive /spool
COPY --from=build /opt/lockstream /opt/lockstream
COPY compose/kafka_answers.py /opt/lockstream/
COPY examples /examples
# Compiled kernels need a place that any user may write to, e.g. one given by `docker run --user`.
ENV NUMBA_CACHE_DIR=/tmp/numba \
    LOCKSTREAM_ARCHIVE_FOLDER=/archive \
    LOCKSTREAM_STREAM_SPOOL=/spool
USER lockstream
WORKDIR /home/lockstream
# A program that works with Kafka is of use while Kafka answers.
HEALTHCHECK --interval=30s --timeout=15s --start-period=20s CMD ["python", "/opt/lockstream/kafka_answers.py"]
# No ENTRYPOINT: `mpirun -n 2 lockstream …` has to go as well as `lockstream …`, in Docker as in Apptainer.
CMD ["lockstream", "--help"]
