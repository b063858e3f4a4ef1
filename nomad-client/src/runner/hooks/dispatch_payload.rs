//! Writes the payload of a dispatched job where the task wants it.

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{Mode, OFlags};

use super::super::prepare::Prep;
use crate::fs::{FsError, SafeRoot};
use crate::machine::alloc::StartError;

const NAME: &str = "dispatch_payload";

pub(super) async fn run(prep: &mut Prep<'_>) -> Result<(), StartError> {
    let Some(file) = prep
        .task
        .dispatch_payload
        .as_ref()
        .map(|payload| payload.file.clone())
        .filter(|file| !file.is_empty() && !prep.job.payload.is_empty())
    else {
        return Ok(());
    };
    if prep.done.contains(NAME) {
        return Ok(());
    }
    let local = prep.runner.dir.task(&prep.task.name).join("local");
    let job = prep.job.clone();
    let written = tokio::task::spawn_blocking(move || write(&local, &file, &job.payload)).await;
    match written {
        Ok(Ok(())) => {
            prep.done.insert(NAME.to_owned());
            Ok(())
        }
        Ok(Err(error)) => {
            let text = format!("failed to write dispatch payload: {error}");
            Err(prep.setup_failed(&text, true))
        }
        Err(error) => Err(prep.setup_failed(&error.to_string(), true)),
    }
}

fn write(local: &std::path::Path, file: &str, payload: &[u8]) -> Result<(), FsError> {
    let io = |source| FsError::io("write", file, source);
    let root = SafeRoot::open(local)?;
    if let Some((parent, _)) = file.rsplit_once('/') {
        root.make_dirs(parent, 0o777)?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
    let fd = root.open_with(file, flags, Mode::from_raw_mode(0o777))?;
    // The mode of a new file is cut by the umask.
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o777)).map_err(|error| io(error.into()))?;
    File::from(fd).write_all(payload).map_err(io)
}
