# Sourced by the other scripts here: makes the virtual environment at the first use, and sets variables for runs.
#
# Sets $root (the repository) and $python (the environment's interpreter). Reads two variables [defaults]:
#   GDL_JAX_VENV          path of the environment [.venv in the repository]
#   GDL_JAX_ACCELERATOR   JAX to install: cpu, cuda12, cuda13 or tpu [detected]
# shellcheck shell=bash

unset CDPATH # with it, cd prints where it goes
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${GDL_JAX_VENV:-$root/.venv}"
python="$venv/bin/python"

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 2
}

# Overwrites one line on a terminal; writes lines to a log file.
progress() {
  if [ -t 2 ]; then printf '\r\033[K%s' "$*" >&2; else say "$*"; fi
}

detect_accelerator() {
  local driver
  if driver="$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)" &&
    [ -n "$driver" ]; then
    if [ "${driver%%.*}" -ge 580 ]; then echo cuda13; else echo cuda12; fi
  elif [ "$(uname -s)" = Linux ] && { compgen -G '/dev/accel*' || grep -qs 0x1ae0 /sys/bus/pci/devices/*/vendor; } >/dev/null; then
    echo tpu
  else
    echo cpu
  fi
}

find_python() {
  local candidate
  for candidate in python3 python python3.13 python3.12 python3.11; do
    # Some are stubs, or lack venv and pip: check that they work.
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
      >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11, 3.12 or 3.13 with venv and pip on the PATH (on Debian and Ubuntu: apt install python3-venv)"
}

# Turns pip's output into a counter of packages.
show_pip_progress() {
  local line count=0 total
  total="$(grep -c '==' "$root/requirements.txt")"
  while IFS= read -r line; do
    case "$line" in
      Collecting* | Processing*)
        count=$((count + 1))
        if [ -t 2 ] || [ $((count % 10)) -eq 0 ]; then progress "  downloading packages: $count of $total"; fi
        ;;
      'Installing collected packages'*) progress "  installing packages (up to a minute)" ;;
    esac
  done
  if [ -t 2 ]; then printf '\n' >&2; fi
}

installing_failed() {
  tail -n 5 "$venv/install.log" >&2
  fail "installation failed; see $venv/install.log; rerun the same command to try again"
}

install_packages() {
  local stamp="$1" wanted="$2" began=$SECONDS packages=(-r "$root/requirements.txt")
  # This file marks an unfinished environment, which is safe to delete.
  if [ -e "$venv/unfinished" ]; then rm -rf "$venv"; fi
  if [ ! -x "$python" ]; then
    local base
    base="$(find_python)"
    say "creating a virtual environment in $venv ($("$base" --version), $accelerator), once"
    mkdir -p "$venv"
    touch "$venv/unfinished"
    "$base" -m venv "$venv"
  else
    say "updating $venv to requirements.txt ($accelerator)"
    rm -f "$stamp"
  fi
  if [ "$accelerator" != cpu ]; then
    packages+=("jax[$accelerator]==$(sed -n 's/^jax==//p' "$root/requirements.txt")")
  fi
  # --no-compile: most of the installed modules are never imported; Python compiles the others on import.
  if ! PYTHONUNBUFFERED=1 "$python" -m pip install --disable-pip-version-check --progress-bar=off --no-compile \
    "${packages[@]}" 2>&1 | tee "$venv/install.log" | show_pip_progress; then
    installing_failed
  fi
  if ! "$python" -m pip install --disable-pip-version-check --progress-bar=off --no-compile --no-deps \
    -r "$root/launch/no_deps.txt" >>"$venv/install.log" 2>&1; then
    installing_failed
  fi
  printf '%s\n' "$wanted" >"$stamp"
  rm -f "$venv/unfinished"
  say "  done in $((SECONDS - began)) s"
}

# Creates the environment if there is none, or updates it if requirements.txt has changed.
prepare_environment() {
  local stamp="$venv/requirements.stamp" wanted
  accelerator="${GDL_JAX_ACCELERATOR:-$(detect_accelerator)}"
  wanted="$(cat "$root/requirements.txt" "$root/launch/no_deps.txt" | cksum) $accelerator"
  is_ready() { [ -x "$python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; }
  if is_ready; then return; fi
  if ! { mkdir -p "$(dirname "$venv")" && touch "$venv.lock"; } 2>/dev/null; then
    fail "cannot write $venv; set GDL_JAX_VENV to a folder for the virtual environment"
  fi
  if command -v flock >/dev/null; then # of two concurrent runs, the second waits for the first
    exec 9>"$venv.lock"
    flock 9
    if ! is_ready; then install_packages "$stamp" "$wanted"; fi
    exec 9>&-
  else
    install_packages "$stamp" "$wanted"
  fi
}

# On CPUs, page faults in XLA's temporary buffers cost as much as the arithmetic: keep freed memory, use huge pages.
tune_malloc() {
  if [ "$accelerator" = cpu ] && getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
    export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}"
    export MALLOC_MMAP_MAX_="${MALLOC_MMAP_MAX_-0}"
    export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_-17179869184}"
  fi
}

prepare_environment
tune_malloc
# The repository is first and the working directory last: user code is found, but cannot shadow modules.
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}:$PWD" PYTHONSAFEPATH=1
