#!/usr/bin/env bash
# Installs what nemocc needs on Debian 12 and is not there yet. Needs root only if something is missing.
set -eu
packages=(gcc clang-22 llvm-22-dev llvm-22-tools libclang-22-dev lld-22 libclang-rt-22-dev libc6-dev
          flex bison cmake ninja-build libpcre2-dev libutf8proc-dev bible-kjv time openmpi-bin iproute2)
missing=()
for p in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "install-deps: everything is there"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "install-deps: missing: ${missing[*]}. Run this script as root, or install them." >&2
    exit 1
fi
echo "install-deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
