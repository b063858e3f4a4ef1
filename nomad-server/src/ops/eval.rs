//! Deleting evaluations while the broker is paused.

use nomad_core::EvalId;
use nomad_core::view::ClusterView as _;
use nomad_state::State;
use nomad_state::command::EvalDelete;

use crate::error::ServerError;
use crate::server::Server;

/// Evaluations deleted in one log entry at most.
pub(super) const MAX_EVALS_PER_DELETE: usize = 7281;

impl Server {
    /// Deletes evaluations that nothing depends on any more; gives the index of the write.
    pub async fn delete_evals(&self, ids: Vec<EvalId>) -> Result<u64, ServerError> {
        let state = self.state();
        if !state.scheduler_config().pause_eval_broker {
            return Err(ServerError::refused(
                "eval broker is enabled; eval broker must be paused to delete evals",
            ));
        }
        if ids.len() > MAX_EVALS_PER_DELETE {
            let reason = format!(
                "request includes {} evaluation IDs, must be {MAX_EVALS_PER_DELETE} or fewer",
                ids.len()
            );
            return Err(ServerError::bad_request(reason));
        }
        for id in &ids {
            if state.eval(*id).is_none() {
                return Err(ServerError::refused("eval not found"));
            }
            if !may_delete_eval(&state, *id) {
                return Err(ServerError::refused(format!(
                    "eval {id} is not safe to delete"
                )));
            }
        }
        Ok(self
            .write(EvalDelete {
                evals: ids,
                allocs: Vec::new(),
            })
            .await?
            .index)
    }
}

/// Whether nothing depends on an evaluation: its job is gone or has ended, or all its allocations have.
fn may_delete_eval(state: &State, id: EvalId) -> bool {
    let Some(eval) = state.eval(id) else {
        return false;
    };
    let job_goes_on = state.job(&eval.job_key()).is_some_and(|job| !job.stopped());
    let waits = !eval.terminal() && job_goes_on;
    !waits && state.allocs_of_eval(id).all(|alloc| alloc.terminal())
}
