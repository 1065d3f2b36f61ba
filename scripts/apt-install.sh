#!/bin/sh
# Installs Debian packages without starting any service. Run as root.
# Usage: apt-install.sh NAME|ALTERNATIVE...   (of alternatives, the first that the system knows)
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

known() { apt-cache show "$1" >/dev/null 2>&1; }

choose() {
  old_ifs=$IFS; IFS='|'
  for name in $1; do
    if known "$name"; then IFS=$old_ifs; echo "$name"; return; fi
  done
  IFS=$old_ifs
  echo "$name"
}

updated=
for wanted in "$@"; do
  if ! known "$(choose "$wanted")" && [ -z "$updated" ]; then
    echo 'netstatd: reading the package lists'
    apt-get -qq update
    updated=yes
  fi
done

names=
for wanted in "$@"; do names="$names $(choose "$wanted")"; done

# Packages of servers start them at once, and nats-server's would take port 4222 for the whole
# machine: policy-rc.d is Debian's way to say no. One that is there already is left as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
had_nats=$(command -v nats-server || true)

install() {
  # shellcheck disable=SC2086 -- one word per package
  apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 $names
}
# Lists that are too old name files that the mirror no longer has: read them again, once.
install || { apt-get -qq update && install; }

# Installed by us for the private bus only: it shall not come up by itself at the next boot.
if [ -z "$had_nats" ] && command -v nats-server >/dev/null && command -v systemctl >/dev/null; then
  systemctl disable nats-server >/dev/null 2>&1 || true
fi
