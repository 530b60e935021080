# Sourced by the commands in bin: goes to the project's root and sees to it that the tools are there.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n==> %s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Elixir takes file names and the terminal for latin-1 where no locale is set.
export LC_ALL=C.UTF-8

need_rust() {
  local needed found
  needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

  command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null || die "Rust $needed or newer is missing: install it from https://rustup.rs"
  found=$(cargo --version 2>/dev/null | cut -d' ' -f2) || die "cargo does not run: see what 'cargo --version' says"
  [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n1)" = "$needed" ] ||
    die "Rust $found is too old, $needed or newer is needed: run 'rustup update stable'"
  command -v cc >/dev/null || die "a C compiler to link with is missing: apt-get install gcc libc6-dev"
}

# The headers of all applications come in a package of their own, erlang-dev.
has_otp_application() {
  if [ "$1" = dev ]; then
    erl -noshell -eval 'halt(case filelib:is_file(code:lib_dir(stdlib) ++ "/include/assert.hrl") of true -> 0; false -> 1 end).'
  else
    erl -noshell -eval "halt(case code:lib_dir($1) of {error, _} -> 1; _ -> 0 end)."
  fi
}

# need_erlang [OTP APPLICATION]...
need_erlang() {
  local packages=() application
  command -v elixir >/dev/null || packages+=(elixir)

  for application in "$@"; do
    { command -v erl >/dev/null && has_otp_application "$application"; } ||
      packages+=("erlang-$application")
  done

  [ ${#packages[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "missing: Elixir 1.14 or newer, and of Erlang/OTP: elixir $*"
  apt_install "${packages[@]}"
}

need_chromium() {
  { command -v chromium && command -v chromedriver; } >/dev/null && return
  command -v apt-get >/dev/null || die "missing: chromium and chromedriver"
  apt_install chromium chromium-driver
}

apt_install() {
  [ "$(id -u)" = 0 ] || die "missing, install as root: apt-get install $*"
  say "Installing $*"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
