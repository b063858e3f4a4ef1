//! Makes the task's directories; on further runs only mounts secrets again.

use super::super::prepare::Prep;
use crate::machine::alloc::{Event, StartError};
use crate::machine::events;

const NAME: &str = "task_dir";

pub(super) async fn run(prep: &mut Prep<'_>) -> Result<(), StartError> {
    let first = prep.done.insert(NAME.to_owned());
    if first {
        let event = events::setup(prep.runner.shared.clock.now(), "Building Task Directory");
        prep.runner
            .dispatch(Event::Told(prep.task.name.clone(), event));
    }
    let dir = prep.runner.dir.clone();
    let (name, owner) = (prep.task.name.clone(), prep.owner);
    let secrets_mb = prep.task.resources.secrets_mb;
    let built = tokio::task::spawn_blocking(move || dir.build_task(&name, secrets_mb, owner)).await;
    match built {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let text = format!("failed to build task directory: {error}: {}", error.source);
            Err(prep.setup_failed(&text, true))
        }
        Err(error) => Err(prep.setup_failed(&error.to_string(), true)),
    }
}
