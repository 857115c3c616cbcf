#!/bin/sh
# make device: Edge SDK for a Raspberry Pi, from this clone into .venv-device. The environment sees
# the system's packages, for picamera2 comes with the system; what pip adds is pinned for it.
set -eu
cd "$(dirname "$0")/.."

refuse() {
  echo "error: $1" >&2
  echo "fix: $2" >&2
  exit 1
}

# The kernel may be 64-bit where the programs are not: dpkg knows what those are.
architecture=$(dpkg --print-architecture)
if [ "$architecture" = armhf ]; then
  refuse "this is a 32-bit Raspberry Pi OS (armhf), which LiteRT does not run on" \
    "write Raspberry Pi OS (64-bit) to the card with Raspberry Pi Imager"
fi
if [ "$architecture" != arm64 ]; then
  refuse "this is $architecture, not a Raspberry Pi" "run it on the Pi; here it is make dev"
fi

system=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
pins=hardware/edge_hardware/os/$system.txt
[ -f "$pins" ] || refuse "the system is ${system:-unknown}: only bookworm and trixie are known" \
  "write the current Raspberry Pi OS (64-bit) to the card with Raspberry Pi Imager"

${PYTHON:-python3} -c 'import venv, ensurepip' 2>/dev/null ||
  refuse "python3 has no venv" "sudo apt install python3-venv"
# With python but no pip it was never finished.
[ -x .venv-device/bin/pip ] ||
  ${PYTHON:-python3} -m venv --system-site-packages .venv-device
.venv-device/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint "$pins" --editable . --editable './device[video]'
.venv-device/bin/python -c 'import picamera2' 2>/dev/null ||
  echo "note: no picamera2 (only for cameras of the Pi): sudo apt install python3-picamera2" >&2
echo "activate it with: . .venv-device/bin/activate"
