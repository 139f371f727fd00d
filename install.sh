#!/bin/sh
# Installs fz on a Debian-like machine, from this clone. `sh install.sh --help` says how.
# Everything is in functions, called on the last line: a file cut short does nothing.
set -eu

DENO_VERSION=2.9.6
PRODUCT_PACKAGES="iproute2 nftables curl ca-certificates libgcrypt20"
DEV_PACKAGES="coturn wireguard-go wireguard-tools dnsutils dnsmasq-base iperf3 iputils-ping conntrack socat netcat-openbsd tcpdump procps zsh fish tmux mandoc jq systemd dbus polkitd strace libcap2-bin chromium chromium-driver"
# The scripts of these would rewrite the machine's resolv.conf: the tests unpack them, for hosts of their own.
UNPACKED_PACKAGES="systemd-resolved network-manager resolvconf openresolv"

usage() {
  cat <<TEXT
Usage: sh install.sh [--dev] [--yes]
       sh install.sh --uninstall [--yes]

Installs what fz needs and puts the command "fz" on the PATH, running
this clone, with its manual and with completions for bash, zsh and fish.

  --dev        also install what the tests need, and "deno"
  --yes        do not ask before installing or removing system packages
  --uninstall  take back exactly what earlier runs of this script did
  --help       show this text

System packages: $PRODUCT_PACKAGES
With --dev also: $DEV_PACKAGES
and downloaded, not installed: $UNPACKED_PACKAGES
Deno $DENO_VERSION is installed from npm into a folder of its own:
/usr/local/lib/fz for root, ~/.local/share/fz for other users.
TEXT
}

say() { printf '%s\n' "$*"; }
fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

main() {
  dev=no yes=no action=install
  for argument in "$@"; do
    case $argument in
      --dev) dev=yes ;;
      --yes | -y) yes=yes ;;
      --uninstall) action=uninstall ;;
      --help | -h) usage; exit 0 ;;
      *)
        printf 'install.sh: unknown option "%s"; see sh install.sh --help\n' "$argument" >&2
        exit 2
        ;;
    esac
  done
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  export PATH
  clone=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
  choose_places
  temporary=$(mktemp -d)
  policy_made=no
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if [ "$action" = uninstall ]; then uninstall_all; else install_all; fi
}

clean_up() {
  [ "$policy_made" = no ] || as_root rm -f /usr/sbin/policy-rc.d
  rm -rf "$temporary"
}

# --- places ---------------------------------------------------------------------------------------------------------

choose_places() {
  if [ "$(id -u)" = 0 ]; then
    sudo=""
    prefix=/usr/local/lib/fz
    bin=/usr/local/bin
    return
  fi
  [ -n "${HOME:-}" ] || fail "HOME is not set: say where your home directory is, or run this as root"
  sudo=sudo
  prefix=$HOME/.local/share/fz
  bin=$HOME/.local/bin
  if on_path "$bin"; then return 0; fi
  if [ -d "$HOME/bin" ] && on_path "$HOME/bin"; then
    bin=$HOME/bin
  elif have sudo && on_path /usr/local/bin; then
    # No folder of this user's is on the PATH: the command would not be found.
    bin=/usr/local/bin
  fi
}

on_path() {
  case :$PATH: in *:"$1":*) return 0 ;; *) return 1 ;; esac
}

# Runs a command as root where `bin` is not this user's.
in_bin() {
  if [ -z "$sudo" ] || [ "$bin" != /usr/local/bin ]; then "$@"; else sudo "$@"; fi
}

as_root() {
  if [ -z "$sudo" ]; then "$@"; else sudo "$@"; fi
}

need_root() {
  [ -z "$sudo" ] || have sudo || fail "$1 needs root, and sudo is not installed: run this as root first"
}

# Adds a line to the list of what was done, once.
record() {
  [ -d "$prefix" ] || make_prefix
  touch "$prefix/manifest"
  grep -qxF "$*" "$prefix/manifest" || printf '%s\n' "$*" >>"$prefix/manifest"
}

make_prefix() {
  made=""
  parent=$(dirname "$prefix")
  while [ ! -d "$parent" ]; do
    made="folder $parent
$made"
    parent=$(dirname "$parent")
  done
  mkdir -p "$prefix"
  printf '%s' "$made" >"$prefix/manifest"
}

agree() {
  [ "$yes" = no ] || return 0
  [ -t 0 ] || fail "$1 Nothing was changed: there is no terminal to ask on. Run again with --yes to agree."
  printf '%s Go on? [Y/n] ' "$1"
  read -r answer || answer=n
  case $answer in "" | y | Y | yes | Yes) ;; *) fail "stopped at your request; nothing was changed" ;; esac
}

# --- install --------------------------------------------------------------------------------------------------------

install_all() {
  [ "$(uname -s)" = Linux ] || fail "fz runs on Linux only for now; this is $(uname -s)"
  if [ -n "$sudo" ] && [ "$bin" = /usr/local/bin ] && [ ! -e "$bin/fz" ]; then
    agree "The command fz will be put into $bin, since no folder of yours is on the PATH."
  fi
  wanted=$PRODUCT_PACKAGES
  [ "$dev" = no ] || wanted="$wanted $DEV_PACKAGES"
  have npm || wanted="nodejs npm $wanted"
  install_packages
  install_deno
  [ "$dev" = no ] || download_packages
  install_commands
  install_helps
  warm_cache
  say "Done. Try: fz demo"
  on_path "$bin" || say "Note: $bin is not on your PATH. Add it: export PATH=\"$bin:\$PATH\""
}

install_packages() {
  if ! have dpkg-query || ! have apt-get; then
    for tool in npm ip nft curl; do
      have "$tool" || fail "this is no Debian-like system, and \"$tool\" is missing: install it by hand, then run this again"
    done
    return 0
  fi
  missing=""
  for package in $wanted; do
    is_installed "$package" || missing="$missing $package"
  done
  [ -n "$missing" ] || { say "System packages: all there."; return 0; }
  need_root "Installing the Debian packages$missing"
  agree "fz needs these Debian packages:$missing."
  say "Installing$missing ..."
  list_installed >"$temporary/before"
  hold_services
  if ! quietly as_root apt-get update; then say "apt-get update failed; going on with the package lists that are here."; fi
  # shellcheck disable=SC2086 # a list of words
  quietly as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=120 $missing ||
    fail "apt-get could not install$missing; its words are above"
  list_installed >"$temporary/after"
  LC_ALL=C comm -13 "$temporary/before" "$temporary/after" >"$temporary/new"
  while read -r package; do
    case " $wanted " in *" $package "*) record "package $package" ;; *) record "dependency $package" ;; esac
  done <"$temporary/new"
  # The tests start their own TURN server; Debian's package would start one at every boot.
  if grep -qx coturn "$temporary/new"; then quietly as_root update-rc.d coturn disable || true; fi
  say "Installed $(wc -l <"$temporary/new" | tr -d ' ') packages."
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

list_installed() {
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | LC_ALL=C sort -u
}

# Debian's packages start their services when they are installed, unless this file says no.
hold_services() {
  [ ! -e /usr/sbin/policy-rc.d ] || return 0
  printf '#!/bin/sh\nexit 101\n' >"$temporary/policy-rc.d"
  policy_made=yes
  as_root install -m 755 "$temporary/policy-rc.d" /usr/sbin/policy-rc.d
}

# Downloads packages that no machine should get by surprise, with what they need and this machine has not.
download_packages() {
  have apt-get || { say "Note: there is no apt-get, so tests that need $UNPACKED_PACKAGES fail."; return 0; }
  mkdir -p "$prefix/debs"
  if ! download_missing || [ -n "$unknown" ]; then
    say "Fetching the package lists ..."
    if [ -z "$sudo" ] || have sudo; then quietly as_root apt-get update || true; fi
    download_missing || fail "apt-get could not download $UNPACKED_PACKAGES; its words are above"
  fi
  [ -z "$unknown" ] || say "Note: apt-get does not know$unknown, so the tests that need it fail."
}

# Downloads what is not in the folder yet, and names in `unknown` what apt-get does not know; fails if it cannot fetch.
download_missing() {
  : >"$temporary/needed"
  unknown=""
  for package in $UNPACKED_PACKAGES; do
    # Each for itself, for some of them cannot be installed together.
    if ! LC_ALL=C apt-get --simulate --no-install-recommends install "$package" >"$temporary/log" 2>&1; then
      unknown="$unknown $package"
      continue
    fi
    { printf '%s\n' "$package"; sed -n 's/^Inst \([^ ]*\) .*/\1/p' "$temporary/log"; } >>"$temporary/needed"
  done
  [ -s "$temporary/needed" ] || return 1
  LC_ALL=C sort -u "$temporary/needed" >"$temporary/names"
  # shellcheck disable=SC2046 # a list of words
  apt-get download --print-uris $(cat "$temporary/names") >"$temporary/uris" 2>"$temporary/log" || {
    cat "$temporary/log" >&2
    return 1
  }
  lacking=""
  while read -r _ file _; do
    [ -s "$prefix/debs/$file" ] || lacking="$lacking ${file%%_*}"
  done <"$temporary/uris"
  [ -n "$lacking" ] || { say "Downloaded packages: all there."; return 0; }
  say "Downloading without installing:$lacking ..."
  # shellcheck disable=SC2086 # a list of words
  (cd "$prefix/debs" && quietly apt-get -o APT::Sandbox::User=root download $lacking) || return 1
  chmod -R a+rX "$prefix/debs"
}

# Runs a command without its words, unless it fails.
quietly() {
  "$@" >"$temporary/log" 2>&1 </dev/null && return 0
  cat "$temporary/log" >&2
  return 1
}

install_deno() {
  deno=$prefix/node_modules/.bin/deno
  if [ "$(deno_version "$deno")" = "$DENO_VERSION" ]; then
    say "Deno $DENO_VERSION: already in $prefix."
    return 0
  fi
  say "Installing Deno $DENO_VERSION from npm into $prefix ..."
  record "tree $prefix"
  quietly npm install --prefix "$prefix" --cache "$temporary/npm" --no-audit --no-fund --no-update-notifier \
    "deno@$DENO_VERSION" || fail "npm could not install deno@$DENO_VERSION; its words are above"
  [ "$(deno_version "$deno")" = "$DENO_VERSION" ] || fail "Deno was installed but does not run: $deno"
}

deno_version() {
  [ -x "$1" ] || return 0
  "$1" --version 2>/dev/null | sed -n '1s/^deno \([^ ]*\).*/\1/p'
}

install_commands() {
  make_folder "$bin"
  cat >"$temporary/fz" <<TEXT
#!/bin/sh
# Made by $clone/install.sh, which takes it back with --uninstall.
[ -e '$clone/main.ts' ] || { echo "fz: the clone it was installed from is gone: $clone" >&2; exit 1; }
DENO_DIR='$prefix/cache' DENO_NO_UPDATE_CHECK=1
export DENO_DIR DENO_NO_UPDATE_CHECK
exec '$deno' run --quiet --no-prompt --allow-all --frozen --v8-flags=--max-semi-space-size=1 --config '$clone/deno.json' '$clone/main.ts' "\$@"
TEXT
  put "$temporary/fz" "$bin/fz"
  [ "$dev" = yes ] || return 0
  found=$(command -v deno || true)
  if [ -n "$found" ] && [ "$(deno_version "$found")" = "$DENO_VERSION" ]; then
    say "deno: $found is the right version already."
  elif [ -e "$bin/deno" ] && ! grep -qxF "file $bin/deno" "$prefix/manifest"; then
    say "Note: $bin/deno is another version and was left alone. For the tests use: $deno"
  else
    cat >"$temporary/deno" <<TEXT
#!/bin/sh
# Made by $clone/install.sh, which takes it back with --uninstall.
if [ -z "\${DENO_DIR:-}" ] && [ -w '$prefix/cache' ]; then
  DENO_DIR='$prefix/cache'
  export DENO_DIR
fi
exec '$deno' "\$@"
TEXT
    put "$temporary/deno" "$bin/deno"
  fi
}

# Links what shells and man(1) read from the clone, so that it is as new as the program.
install_helps() {
  case $bin in /usr/local/bin) share=/usr/local/share ;; *) share=$HOME/.local/share ;; esac
  link "$clone/completions/fz.bash" "$share/bash-completion/completions/fz"
  link "$clone/completions/_fz" "$share/zsh/site-functions/_fz"
  link "$clone/completions/fz.fish" "$share/fish/vendor_completions.d/fz.fish"
  for page in "$clone"/man/*.1; do link "$page" "$share/man/man1/${page##*/}"; done
  say "Completions for bash, zsh and fish, and the manual: $share"
}

link() {
  if [ -e "$2" ] && ! grep -qxF "file $2" "$prefix/manifest"; then
    say "Note: $2 is not ours and was left alone."
    return 0
  fi
  make_folder "$(dirname "$2")"
  in_bin ln -sf "$1" "$2"
  record "file $2"
}

make_folder() {
  [ ! -d "$1" ] || return 0
  make_folder "$(dirname "$1")"
  in_bin mkdir "$1"
  record "folder $1"
}

put() {
  if [ -e "$2" ] && ! grep -qxF "file $2" "$prefix/manifest"; then
    grep -q 'install.sh, which takes it back' "$2" 2>/dev/null || fail "$2 exists and is not ours: move it away first"
  fi
  in_bin cp "$1" "$2"
  in_bin chmod 755 "$2"
  record "file $2"
  say "Command: $2"
}

# Fetches the packages that the program imports, so that its first run is quick and needs no network.
warm_cache() {
  say "Fetching the imported packages ..."
  quietly env DENO_DIR="$prefix/cache" "$deno" cache --frozen --config "$clone/deno.json" "$clone/main.ts" ||
    fail "Deno could not fetch the packages of deno.lock; its words are above"
  chmod -R a+rX "$prefix"
  [ "$dev" = yes ] || return 0
  [ -e "$bin/deno" ] || return 0
  quietly env -C "$clone" "$bin/deno" install --frozen || fail "Deno could not fetch the packages of the tests; its words are above"
}

# --- uninstall ------------------------------------------------------------------------------------------------------

uninstall_all() {
  [ -e "$prefix/manifest" ] || { say "Nothing to take back: there is no $prefix/manifest."; return 0; }
  cp "$prefix/manifest" "$temporary/manifest"
  remove_packages
  sed -n 's/^file //p' "$temporary/manifest" | while read -r path; do
    case $path in /usr/local/*) as_root rm -f "$path" ;; *) rm -f "$path" ;; esac
    case $path in */bin/*) say "Removed $path" ;; esac
  done
  # A folder goes only if it is empty again; inner ones were recorded after outer ones.
  rm -rf "$prefix"
  say "Removed $prefix"
  sed -n 's/^folder //p' "$temporary/manifest" | sed -n '1!G;h;$p' | while read -r path; do
    case $path in /usr/local/*) as_root rmdir "$path" 2>/dev/null || true ;; *) rmdir "$path" 2>/dev/null || true ;; esac
  done
  say "Done. The clone in $clone is yours to delete."
}

remove_packages() {
  asked=$(still_here package)
  brought=$(still_here dependency)
  [ -n "$asked$brought" ] || return 0
  need_root "Removing the Debian packages$asked"
  gone="$asked$brought"
  # What something else has come to need since stays. Asking package by package would take minutes.
  # shellcheck disable=SC2086 # lists of words
  if ! removes_only_ours $gone; then
    gone=""
    for package in $asked; do
      if removes_only_ours "$package"; then gone="$gone $package"; else say "Kept $package: other packages need it now."; fi
    done
    say "Kept what the packages brought with them: others need some of it. apt-get autoremove removes the rest."
  fi
  [ -n "$gone" ] || return 0
  agree "$(count $gone) Debian packages that this script installed will be removed:$asked, and what they brought."
  # shellcheck disable=SC2086 # a list of words
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get purge --yes -o DPkg::Lock::Timeout=120 $gone ||
    fail "apt-get could not remove$asked; its words are above"
  # shellcheck disable=SC2086
  say "Removed $(count $gone) packages."
}

# Prints the packages of one kind that the manifest names and that are still there, each after a space.
still_here() {
  sed -n "s/^$1 //p" "$temporary/manifest" | LC_ALL=C sort >"$temporary/named"
  list_installed | LC_ALL=C comm -12 "$temporary/named" - | while read -r package; do printf ' %s' "$package"; done
}

count() { printf '%s' "$#"; }

removes_only_ours() {
  LC_ALL=C apt-get --simulate purge "$@" 2>/dev/null |
    sed -n 's/^Remv \([^ :]*\).*/\1/p; s/^Purg \([^ :]*\).*/\1/p' >"$temporary/would"
  [ -s "$temporary/would" ] || return 1
  while read -r package; do
    case " $asked $brought " in *" $package "*) ;; *) return 1 ;; esac
  done <"$temporary/would"
}

main "$@"
