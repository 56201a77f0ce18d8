#!/usr/bin/env bash
# From a fresh Debian 12 to a trained model: installs what is missing, builds, trains for three minutes.
set -eu
cd "$(dirname "$0")"
scripts/install-deps.sh
scripts/build.sh
scripts/demo.sh
