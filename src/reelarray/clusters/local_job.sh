#!/bin/bash
# One job of kind "local": waits for other jobs, runs a script in a process group of its own, notes how it ended.
# Usage: local_job.sh FOLDER SCRIPT SECONDS [CONDITION JOB]...     (SECONDS from a SIGTERM to the SIGKILL of a cancel)
set -u -m
folder=$1 script=$2 patience=$3
shift 3
child='' cancelled='' interrupted=''
note() { printf '%s\n' "$*" >"$folder/state.new" && mv -f "$folder/state.new" "$folder/state"; }
cancel() {
  interrupted=1
  [ -z "$cancelled" ] || return
  cancelled=1
  [ -n "$child" ] || { note CANCELLED; exit 0; }
  kill -TERM -- "-$child" 2>/dev/null
  # Whatever does not end by itself is ended.
  (sleep "$patience"; kill -KILL -- "-$child") >/dev/null 2>&1 &
}
trap cancel TERM
echo $$ >"$folder/pid.new" && mv -f "$folder/pid.new" "$folder/pid"
while [ $# -gt 0 ]; do
  other=${folder%/*}/$2
  while read -r word code _ <"$other/state" && [[ $word == PENDING || $word == RUNNING ]]; do
    kill -0 "$(cat "$other/pid")" 2>/dev/null || { word=NODE_FAIL; break; }
    sleep 0.2
  done
  case $1:$word in
    after_ok:COMPLETED | after_any:*) ;;
    after_ok:* | after_not_ok:COMPLETED) note CANCELLED dependency; exit 0 ;;
  esac
  shift 2
done
note RUNNING
REELARRAY_JOB=${folder##*/} bash "$script" </dev/null &
child=$!
[ -z "$cancelled" ] || kill -TERM -- "-$child"
while :; do
  interrupted=''
  wait "$child"
  code=$?
  [ -n "$interrupted" ] || break
done
kill -KILL -- "-$child" 2>/dev/null # what the script left behind
if [ -n "$cancelled" ]; then note CANCELLED; elif [ "$code" = 0 ]; then note COMPLETED 0; else note FAILED "$code"; fi
kill %2 2>/dev/null
exit 0
