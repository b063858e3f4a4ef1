//! Following evaluations and deployments until they end.

mod deployment;
mod eval;
mod work;

pub use self::deployment::monitor_deployment;
pub use self::eval::monitor_eval;
pub use self::work::follow_work;

use std::time::Duration;

/// Longest wait of one blocking query of a monitor.
pub const MAX_WAIT: Duration = Duration::from_secs(60);
/// Errors in a row before a monitor gives up.
pub const MAX_ERRORS: u32 = 10;

/// How long to wait after an error: a second at first, twelve at most.
pub fn error_pause(errors: u32) -> Duration {
    Duration::from_secs(u64::from(errors).pow(2).clamp(1, 12))
}
