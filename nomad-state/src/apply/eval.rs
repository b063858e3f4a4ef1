//! Commands about evaluations.

use nomad_core::eval::{EvalStatus, Evaluation};

use super::{ApplyError, job_status, summary};
use crate::command::EvalDelete;
use crate::tables::Txn;

/// Writes evaluations and everything that follows from them.
pub(super) fn upsert_all(txn: &mut Txn, evals: &[Evaluation]) -> Result<(), ApplyError> {
    for eval in evals {
        upsert(txn, eval);
    }
    for eval in evals {
        job_status::refresh(txn, &eval.job_key(), None);
    }
    Ok(())
}

fn upsert(txn: &mut Txn, eval: &Evaluation) {
    let mut eval = eval.clone();
    match txn.tables.evals.get(&eval.id) {
        Some(old) => {
            eval.create_index = old.create_index;
            eval.create_time = old.create_time;
        }
        None => eval.create_index = txn.index,
    }
    eval.modify_index = txn.index;
    summary::set_queued(txn, &eval);
    if eval.status == EvalStatus::Complete
        && eval.failed_tg_allocs.is_empty()
        && eval.blocked_eval.is_none()
    {
        cancel_blocked(txn, &eval);
    }
    txn.put_eval(eval);
}

/// A job whose evaluation placed everything needs its blocked evaluation no longer.
fn cancel_blocked(txn: &mut Txn, done: &Evaluation) {
    let blocked: Vec<Evaluation> = txn
        .tables
        .evals_by_job
        .get(&done.job_key())
        .into_iter()
        .flat_map(|evals| evals.values())
        .filter(|eval| eval.should_block() && eval.id != done.id)
        .map(|eval| Evaluation::clone(eval))
        .collect();
    for mut eval in blocked {
        eval.status = EvalStatus::Canceled;
        eval.status_description = format!("evaluation \"{}\" successful", done.id);
        eval.modify_index = txn.index;
        eval.modify_time = done.modify_time;
        txn.put_eval(eval);
    }
}

pub(super) fn delete(txn: &mut Txn, command: &EvalDelete) -> Result<(), ApplyError> {
    for id in &command.evals {
        txn.remove_eval(*id);
    }
    for id in &command.allocs {
        txn.remove_alloc(*id);
    }
    Ok(())
}
