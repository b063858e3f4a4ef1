//! The domain's words: jobs, nodes, allocations, evaluations, deployments and plans, without any I/O.
