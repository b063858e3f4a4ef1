//! Values as text: tables, times, sizes, JSON.

mod diff;
mod json;
mod table;
mod template;
mod units;

pub use self::diff::{JobDiff, job_diff};
pub use self::json::{json, sorted};
pub use self::table::{kv, table, table_with_blanks};
pub use self::template::render;
pub use self::units::{ago, bytes, clock, megabytes, optional_time, short_id, span, time};
