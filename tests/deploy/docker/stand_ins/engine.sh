#!/usr/bin/env bash
# engine.sh FOLDER: a Docker engine with Compose and buildx in FOLDER, from packages of the Debian release after this one:
# Debian 12's own engine is older than the health checks' start_interval and than build contexts with a name.
set -euo pipefail
folder=$(realpath -m "$1")
if [[ -x $folder/bin/dockerd ]]; then exit; fi
mkdir -p "$folder"
scratch=$(mktemp -d "$folder/scratch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch"/{lists/partial,cache,out}
cd "$scratch"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Release: bookworm' | head -n 1)    # where this machine gets its packages
printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "$mirror" >next.sources
options=(-qq -o "Dir::Etc::SourceList=$scratch/next.sources" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update
apt-get "${options[@]}" download docker-compose docker-buildx docker.io containerd
for package in *.deb; do dpkg-deb -x "$package" out; done
mkdir -p "$folder/cli-plugins" "$folder/bin"
mv out/usr/libexec/docker/cli-plugins/* "$folder/cli-plugins/"
# Not its runc, which wants a newer libc than Debian 12's: the installed one will do. The engine goes last: it says that all is there.
mv out/usr/bin/containerd out/usr/bin/containerd-shim-runc-v2 out/usr/sbin/docker-proxy out/usr/sbin/dockerd "$folder/bin/"
