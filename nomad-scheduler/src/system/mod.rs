//! System and sysbatch jobs: one allocation of each group on every node that may run it.

use nomad_core::ids::IdSource;

use crate::columns::NodeColumns;
use crate::schedule::{Input, Outcome};

pub(crate) fn schedule(
    _input: &Input<'_>,
    _columns: &NodeColumns,
    _ids: &mut dyn IdSource,
) -> Outcome {
    Outcome::default()
}
