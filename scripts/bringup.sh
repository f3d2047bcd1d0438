#!/bin/sh
# Brings up one board on one machine, without questions. See --help.
set -eu

usage() {
  cat <<'TEXT'
usage: scripts/bringup.sh COMMAND [--dry-run] [--bench FILE] [-- OPTION...]

For CI, and for racks that nobody stands beside: nothing asks, everything ends.

  config  make the machine ready: reserve hugepages, give the device to vfio-pci
  status  say how things are; opens no PCI function and changes nothing
  check   climb the ladder of `hwpool bringup`; leave reports in a folder of their own
  reset   put back what config changed: driver, owners, hugepages

  --bench FILE  read the settings from a file of NAME=VALUE lines, in the shell's syntax
  --dry-run     print the commands that change something, and run none
  -- OPTION...  options for `hwpool bringup` (check only)
  --help        this text

Settings, also taken from the environment:
  HWPOOL_DEVICE     address of the device [the plan's, else sim:bmu]
  HWPOOL_PLAN       plan of the board, in TOML
  HWPOOL_REPORTS    folder for the reports [bringup-reports]; `latest` in it leads to the last
  HWPOOL_COMPARE    JSON of the run to show beside it [the model's, made anew]
  HWPOOL_HUGEPAGES  hugepages of 2 MiB that config reserves [0]
  HWPOOL_OWNER      user who shall own the device nodes
  HWPOOL_STATE      where config remembers what it changed, and journals are kept [/run/hwpool]
  HWPOOL            the program [hwpool, else target/release/hwpool]

exit status: 0 done, 1 a check failed, 2 usage, 3 the device or the machine refused
TEXT
}

# ---- commands -----------------------------------------------------------------------------------

config() {
  if [ "$pages" != 0 ] && [ ! -e "$reserved" ]; then
    # Written before, so that whoever finds it knows at most too much.
    run mkdir -p "$state" || exit 3
    keep "$pages" "$reserved" || exit 3
    run "$hwpool" hugepages reserve "$pages" || { status=$? && run rm -f "$reserved" && exit $status; }
  fi
  [ -z "$function" ] || run "$hwpool" bind "$function" --journal "$state" ${owner:+--owner "$owner"}
}

status() {
  "$hwpool" hugepages status
  if [ -n "$function" ]; then
    "$hwpool" doctor "$function"
  else
    "$hwpool" info "$device"
  fi
}

check() {
  folder=$reports/$(date -u +%Y%m%dT%H%M%SZ)-$$
  run mkdir -p "$folder" || exit 3
  verdict=0
  # A device that was not named is the plan's.
  run "$hwpool" bringup ${named:+"$named"} ${plan:+--plan "$plan"} --out "$folder/board.json" "$@" || verdict=$?
  # 1 is a verdict on the board; with anything else there is no report.
  [ $verdict -le 1 ] || exit $verdict
  if [ -z "$compare" ]; then
    compare=$folder/model.json
    # Shown beside the board, and no verdict on it.
    run "$hwpool" bringup sim:bmu --soak 0.5 --out "$compare" >/dev/null || [ $? = 1 ] || exit 3
  fi
  report --out "$folder/board.html" --compare "$compare"
  report --out "$folder/board.xml"
  report --out "$folder/board.txt"
  run ln -sfn "${folder##*/}" "$reports/latest" || exit 3
  $dry_run || echo "reports: $folder"
  exit $verdict
}

# A report of a board that failed has exit status 1, too: check has the verdict already.
report() {
  done=0
  run "$hwpool" report "$folder/board.json" "$@" >/dev/null || done=$?
  [ $done -le "$verdict" ] || exit 3
}

# Goes on where a part fails: hugepages are given back also where the driver can't be.
reset() {
  result=0
  [ -z "$function" ] || run "$hwpool" recover "$function" --journal "$state" || result=$?
  if [ -e "$reserved" ]; then
    if run "$hwpool" hugepages release "$(cat "$reserved")"; then run rm -f "$reserved"; else result=3; fi
  fi
  exit $result
}

# ---- helpers ------------------------------------------------------------------------------------

# Prints a command, and runs it unless this is a dry run. Not from lib/, for this script is copied to machines by itself.
run() {
  echo "+ $*" >&2
  $dry_run || "$@"
}

keep() {
  echo "+ echo $1 >$2" >&2
  $dry_run || echo "$1" >"$2"
}

wrong_usage() {
  echo "scripts/bringup.sh: $1; see --help" >&2
  exit 2
}

# Prints the device that a plan names, if it does.
planned() {
  sed -n "/^ *\\[/q; s/^ *device *= *[\"']\\([^\"']*\\)[\"'].*/\\1/p" "$1"
}

# Names the program: the one that was set, one on the PATH, or the one that this checkout built.
program() {
  built=$(dirname "$0")/../target/release/hwpool
  for candidate in "${HWPOOL:-}" "$(command -v hwpool || true)" "$built"; do
    [ ! -x "$candidate" ] || { echo "$candidate" && return; }
  done
  echo "scripts/bringup.sh: no hwpool: build it with \`cargo build --release\`, or set HWPOOL" >&2
  return 3
}

dry_run=false command='' bench=''
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage && exit ;;
    --dry-run) dry_run=true ;;
    --bench)
      [ $# -ge 2 ] || wrong_usage '--bench takes a file'
      bench=$2
      shift
      ;;
    --)
      shift
      break
      ;;
    config | status | check | reset)
      [ -z "$command" ] || wrong_usage "$command and $1: one command at a time"
      command=$1
      ;;
    *) wrong_usage "no command or option '$1'" ;;
  esac
  shift
done
[ -n "$command" ] || wrong_usage 'no command'
[ $# = 0 ] || [ "$command" = check ] || wrong_usage "$command takes no options of hwpool"
if [ -n "$bench" ]; then
  [ -r "$bench" ] || wrong_usage "$bench can't be read"
  case $bench in */*) ;; *) bench=./$bench ;; esac
  # shellcheck source=/dev/null
  . "$bench"
fi
named=${HWPOOL_DEVICE:-} plan=${HWPOOL_PLAN:-} reports=${HWPOOL_REPORTS:-bringup-reports}
compare=${HWPOOL_COMPARE:-} pages=${HWPOOL_HUGEPAGES:-0} owner=${HWPOOL_OWNER:-} state=${HWPOOL_STATE:-/run/hwpool}
reserved=$state/bench.hugepages
case $pages in '' | *[!0-9]*) wrong_usage "HWPOOL_HUGEPAGES is no number: '$pages'" ;; esac
device=$named
if [ -n "$plan" ]; then
  [ -r "$plan" ] || wrong_usage "the plan $plan can't be read"
  device=${device:-$(planned "$plan")}
fi
device=${device:-sim:bmu}
# The PCI function of a vfio: address; a model and a socket have none.
function=''
case $device in vfio:*) function=${device#vfio:} function=${function%%\?*} ;; esac
hwpool=$(program) || exit
"$command" "$@"
