//! The watcher moves deployments on.
