#!/usr/bin/env bash
# python.sh TAR: the files of a stand-in for python:3.11-slim-bookworm, which is Debian 12 too; its Python is Debian's own 3.11.
# netcat is in the official Kafka image, whose stand-in is made from this one.
set -euo pipefail
tar=$(realpath -m "$1")
if [[ -s $tar ]]; then exit; fi
mkdir -p "$(dirname "$tar")"
root=$(mktemp -d "$(dirname "$tar")/scratch.XXXXXX")
trap 'rm -rf "$root"' EXIT
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Release: bookworm' | head -n 1)    # where this machine gets its packages
debootstrap --variant=minbase \
    --include=ca-certificates,netbase,tzdata,python3,python3-venv,python3-pip,netcat-openbsd bookworm "$root" "$mirror" >&2
rm -f "$root/usr/lib/python3.11/EXTERNALLY-MANAGED" "$root"/etc/{resolv.conf,hostname}
for name in python python3 python3.11; do ln -s /usr/bin/python3.11 "$root/usr/local/bin/$name"; done
ln -s /usr/bin/pip3 "$root/usr/local/bin/pip"
tar --numeric-owner -C "$root" -cf "$tar.new" --one-file-system --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
    --exclude='./var/log/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./dev/*' .
mv "$tar.new" "$tar"
