# Settings that start.sh and stop.sh share; sourced by both.
#
# REELARRAY_SLURM_STATE   folder of state, pids and logs (default /var/lib/reelarray-slurm)
# REELARRAY_SLURM_NODES   virtual nodes n1, n2, ...      (default 2)
# REELARRAY_SLURM_CPUS    CPUs that each announces       (default 4, whatever the hardware has)
# REELARRAY_SLURM_MEMORY  MiB that each announces        (default 16384; nothing enforces it without cgroups)
state=${REELARRAY_SLURM_STATE:-/var/lib/reelarray-slurm}
nodes=${REELARRAY_SLURM_NODES:-2}
cpus=${REELARRAY_SLURM_CPUS:-4}
memory=${REELARRAY_SLURM_MEMORY:-16384}
configuration=/etc/slurm/slurm.conf
cgroups=/etc/slurm/cgroup.conf
mark="Written by reelarray's .ci/slurm/start.sh: a queue for tests."
kept=$configuration.before-reelarray
cluster=reeltest # the name by which a slurm.conf is known to be that of a test queue, safe to replace

say() { echo "slurm: $*"; }
fail() {
  echo "slurm: $*" >&2
  exit 1
}
# Whether the process recorded in a pid file is still that daemon: pids are used again.
runs() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}
answers() { timeout 10 scontrol ping >/dev/null 2>&1; }
# Ask again every tenth of a second, for so many seconds.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}
