#!/usr/bin/env bash
# End the Slurm that start.sh started: its jobs, then the daemons whose pids it recorded, and nothing else.
#
# The slurm.conf that was there before is put back. Logs stay. A second call finds nothing to do.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

no_jobs() { [ -z "$(timeout 10 squeue --noheader 2>/dev/null)" ]; }
if runs "$state/slurmctld.pid" slurmctld; then
  # Jobs first: a daemon that ends leaves the processes of its jobs behind.
  timeout 10 squeue --noheader --format %A 2>/dev/null | sort -u | xargs --no-run-if-empty timeout 10 scancel
  wait_until 15 no_jobs || say "jobs are left: $(squeue --noheader 2>&1)"
fi
stopped=
for file in "$state"/slurmd.*.pid "$state"/slurmctld.pid "$state"/munged.pid; do
  [ -e "$file" ] || continue
  daemon=$(basename "$file")
  daemon=${daemon%%.*}
  gone() { ! runs "$file" "$daemon"; }
  if ! gone; then
    pid=$(cat "$file")
    kill "$pid"
    wait_until 15 gone || kill -KILL "$pid"
    stopped="$stopped $daemon"
  fi
  rm -f "$file"
done
if [ -s "$configuration" ] && cmp -s "$state/slurm.conf" "$configuration"; then
  rm -f "$configuration"
  [ ! -e "$kept" ] || mv "$kept" "$configuration"
fi
if grep -qs "$mark" "$cgroups"; then rm -f "$cgroups"; fi
[ -n "$stopped" ] && say "stopped$stopped" || say "nothing of $state was running"
