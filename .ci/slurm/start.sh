#!/usr/bin/env bash
# A real Slurm on the loopback interface: a controller and a few virtual nodes on this host, without systemd or cgroups.
#
# For test machines only; root on Debian or a derivative, whose slurmd may run several times on one host. Installs what
# is missing, and the PBS commands of slurm-wlm-torque where apt has them. A second call changes nothing, or starts again
# what has died. Another cluster's slurm.conf is left alone: REELARRAY_SLURM_REPLACE=1 replaces it until stop.sh.
# Settings: common.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"
[ "$(id -u)" = 0 ] || fail "starting daemons needs root; run this as root, on a machine for tests"

# ---- whose is the configuration that is there? -----------------------------------------------------------------------
if [ -s "$configuration" ] && ! grep -q "^ClusterName=$cluster\$" "$configuration"; then
  [ "${REELARRAY_SLURM_REPLACE:-}" = 1 ] ||
    fail "$configuration is of another cluster; REELARRAY_SLURM_REPLACE=1 replaces it until stop.sh puts it back"
  ! answers || fail "the Slurm of $configuration is running; stop it first"
  cp -p "$configuration" "$kept"
elif [ -s "$configuration" ] && answers && ! runs "$state/slurmctld.pid" slurmctld; then
  say "a test queue that somebody else started answers: used as it is"
  exit 0
fi
mkdir -p "$state"/{controller,log}
for node in $(seq "$nodes"); do mkdir -p "$state/n$node"; done
chmod 755 "$state"

# ---- packages --------------------------------------------------------------------------------------------------------
install_packages() {
  say "installing $*"
  local policy=/usr/sbin/policy-rc.d own=
  if [ ! -e "$policy" ]; then # there is no init system: packages must not start daemons
    own=1
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  apt_install "$@" || { apt-get update -qq && apt_install "$@"; }
  local status=$?
  [ -z "$own" ] || rm -f "$policy"
  return "$status"
}
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" \
    >"$state/log/apt.log" 2>&1
}
lacking() {
  local command
  for command in "$@"; do command -v "$command" >/dev/null || return 0; done
  return 1
}
if lacking slurmctld slurmd sbatch munged setpriv; then
  install_packages slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge util-linux || {
    tail -n 20 "$state/log/apt.log" >&2
    fail "apt could not install Slurm"
  }
fi
if lacking qsub qstat qdel; then
  install_packages slurm-wlm-torque libslurm-perl libswitch-perl || say "no PBS commands over Slurm: apt has none"
fi

# ---- configuration ---------------------------------------------------------------------------------------------------
host=$(uname -n)
host=${host%%.*}
write_configuration() {
  cat <<END
# $mark
ClusterName=$cluster
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
# Nothing listens on any other address.
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CredType=cred/munge
# The CPUs and the memory written here count, not those of the hardware.
SlurmdParameters=config_overrides
# No cgroups: processes are followed through /proc, and memory is not enforced.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
# No slurmdbd, hence no sacct.
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=512
EnforcePartLimits=ALL
# Jobs start at once, and start again soon.
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=20
KillWait=5
OverTimeLimit=0
# States of jobs that have ended stay visible for as long as tests may ask.
MinJobAge=600
MpiDefault=none
SwitchType=switch/none
MailProg=/bin/true
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/%n
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.%n.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd.%n.log
END
  for node in $(seq "$nodes"); do
    echo "NodeName=n$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((6820 + node)) CPUs=$cpus RealMemory=$memory"
  done
  cat <<END
PartitionName=debug Nodes=ALL Default=YES DefaultTime=00:10:00 MaxTime=01:00:00 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes=ALL DefaultTime=00:10:00 MaxTime=01:00:00 PriorityTier=10 PreemptMode=OFF
END
}
mkdir -p "$(dirname "$configuration")"
write_configuration >"$state/slurm.conf"
# The daemons look for cgroups even where nothing uses them, and version 2 wants a systemd.
[ -s "$cgroups" ] || echo "CgroupPlugin=cgroup/v1 # $mark" >"$cgroups"
changed=
if ! cmp -s "$state/slurm.conf" "$configuration"; then
  cp "$state/slurm.conf" "$configuration"
  changed=1
fi

# ---- daemons, each only where it does not run ------------------------------------------------------------------------
munge_works() { munge -n 2>/dev/null | unmunge >/dev/null 2>&1; }
if ! munge_works; then
  install -d -o munge -g munge -m 755 /run/munge
  install -d -o munge -g munge -m 700 /etc/munge /var/lib/munge /var/log/munge
  [ -s /etc/munge/munge.key ] || head -c 1024 /dev/urandom >/etc/munge/munge.key
  chown munge:munge /etc/munge/munge.key
  chmod 400 /etc/munge/munge.key
  # munged insists on being the owner of its key and of the folder of its socket.
  setpriv --reuid munge --regid munge --clear-groups munged --force --pid-file /run/munge/munged.pid
  wait_until 10 munge_works || fail "munged was started but does not answer; see /var/log/munge/munged.log"
  cp /run/munge/munged.pid "$state/munged.pid"
fi
if ! runs "$state/slurmctld.pid" slurmctld; then
  # -i: what an earlier one left may be of no use
  slurmctld -i || fail "slurmctld does not start; see $state/log/slurmctld.log"
elif [ -n "$changed" ]; then
  scontrol reconfigure
fi
for node in $(seq "$nodes"); do
  runs "$state/slurmd.n$node.pid" slurmd || slurmd -N "n$node" ||
    fail "slurmd does not start; see $state/log/slurmd.n$node.log"
done

# ---- ready when every node can take jobs -----------------------------------------------------------------------------
ready() {
  local listed name condition count=0
  listed=$(sinfo --noheader --partition debug --Node --format '%N %T' 2>/dev/null) || return 1
  while read -r name condition; do
    case $condition in
      idle | mixed | allocated | completing) count=$((count + 1)) ;;
      down* | drained*) scontrol update nodename="$name" state=resume 2>/dev/null || true ;;
    esac
  done <<<"$listed"
  [ "$count" = "$nodes" ]
}
wait_until 60 ready || {
  tail -n 20 "$state"/log/slurm*.log >&2
  fail "the nodes do not come up: $(sinfo --noheader --Node --format '%N %T' 2>&1 | tr '\n' ' ')"
}
say "$nodes nodes are ready; state and logs in $state"
