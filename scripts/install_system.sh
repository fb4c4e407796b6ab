#!/usr/bin/env bash
# Installs from the distribution what `make demo` or `make test` misses; instant when nothing does.
# Debian and Ubuntu; elsewhere it says what has to be there.
#
# usage: install_system.sh demo|test
set -euo pipefail

packages=(qgis python3-qgis qgis-providers gdal-bin python3-gdal python3-numpy python3-plotly
    python3-jinja2)
if [ "${1:-demo}" = test ]; then
    packages+=(python3-venv python3-scipy python3-sklearn)
fi

if ! command -v dpkg-query apt-get >/dev/null; then
    # Another system: what counts is that QGIS and GDAL's Python are there, whoever packs them.
    if command -v "${QGIS_PROCESS:-qgis_process}" >/dev/null &&
        "${PYTHON:-python3}" -c 'import numpy, osgeo.gdal' 2>/dev/null; then
        exit 0
    fi
    echo "This is neither Debian nor Ubuntu. Please install QGIS 3.22 or newer (with qgis_process)" >&2
    echo "and GDAL and NumPy for Python, and name its Python: make PYTHON=... " >&2
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

echo "Missing: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Neither root nor sudo, so please have these installed:" >&2
        echo "    apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C
    apt-get --quiet=2 -o DPkg::Lock::Timeout=600)
echo "Installing them takes some minutes, and up to 10 more where another apt-get runs meanwhile."

# the timeout is for the lock of packages alone: that of their lists fails at once
for try in {1..60}; do
    said=$("${apt[@]}" update 2>&1 >/dev/null) && break
    if [ "$try" = 60 ] || [[ $said != *lists/lock* ]]; then
        echo "$said" >&2
        exit 100
    fi
    [ "$try" -gt 1 ] || echo "Another apt-get holds the lists of packages: waiting for it."
    sleep 10
done
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
