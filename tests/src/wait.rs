//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Long enough for anything on a busy machine; a test that waits this long has failed.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const POLL: Duration = Duration::from_millis(10);

/// Asks until there is an answer.
///
/// # Panics
/// None came within [`LIMIT`]; the message says for what was waited.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "not within {} s: {what}",
            LIMIT.as_secs()
        );
        std::thread::sleep(POLL);
    }
}
