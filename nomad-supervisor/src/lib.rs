//! One process per node that owns every task process, its cgroup, pipes and log files.
