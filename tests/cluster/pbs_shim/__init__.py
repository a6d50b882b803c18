"""A simulation of PBS's qsub, qstat and qdel: job scripts run on this host at once, each a process group of its own.

For tests on machines without PBS and without root: put `bin/` first on PATH. It is strict where sites are, and harsher
than a friendly site: a directive that PBS manuals do not list is refused; a job starts in the home folder, without the
variables of the shell that submitted it (unless -V or -v); its output appears when it has ended (unless -k doe).

What it is not: a queue (nothing waits for free CPUs), a limit on memory, several hosts.

PBS_SHIM_HOME       folder of jobs; tests use one each        (default: pbs-shim-<user id> among temporary files)
PBS_SHIM_REFUSE     every qsub fails with this text, as at a site that refuses the request
PBS_SHIM_DELAY      seconds that each job stays queued        (default 0)
PBS_SHIM_KILL_WAIT  seconds from SIGTERM to SIGKILL           (default 5)
"""
