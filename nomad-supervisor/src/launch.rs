//! How a client starts the supervisor when there is none.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::LOG_NAME;

/// At this size the supervisor's own log is begun anew, in bytes.
const MAX_OWN_LOG_BYTES: u64 = 1 << 20;

/// The command line of a supervisor.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub exe: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables set for it beside the inherited ones.
    pub env: Vec<(OsString, OsString)>,
}

impl Launch {
    /// `exe supervisor --dir DIR`.
    pub fn new(exe: impl Into<PathBuf>, dir: &Path) -> Self {
        let args = vec![
            OsString::from("supervisor"),
            OsString::from("--dir"),
            dir.as_os_str().to_owned(),
        ];
        Self {
            exe: exe.into(),
            args,
            env: Vec::new(),
        }
    }

    /// Starts the supervisor. It makes itself leader of its own session, so it does not share the caller's fate. The
    /// caller must reap the child, should it live longer.
    pub(crate) fn spawn(&self, dir: &Path) -> io::Result<tokio::process::Child> {
        let log = open_own_log(&dir.join(LOG_NAME))?;
        tokio::process::Command::new(&self.exe)
            .args(&self.args)
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .kill_on_drop(false)
            .spawn()
    }
}

fn open_own_log(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.len() > MAX_OWN_LOG_BYTES {
        file.set_len(0)?;
    }
    Ok(file)
}

/// A supervisor that is the running test binary itself.
#[cfg(feature = "test-util")]
pub mod testing {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use super::Launch;

    const DIR_VARIABLE: &str = "NOMAD_SUPERVISOR_TEST_DIR";

    /// Starts this test binary again with only the test `entry` chosen, which must call [`serve_if_asked`].
    pub fn launch(entry: &str, dir: &Path) -> std::io::Result<Launch> {
        Ok(Launch {
            exe: std::env::current_exe()?,
            args: [entry, "--exact", "--nocapture", "--test-threads=1"]
                .map(OsString::from)
                .to_vec(),
            env: vec![(OsString::from(DIR_VARIABLE), dir.as_os_str().to_owned())],
        })
    }

    /// Runs the supervisor and ends the process if [`launch`] started it; else does nothing.
    pub fn serve_if_asked() {
        let Some(dir) = std::env::var_os(DIR_VARIABLE) else {
            return;
        };
        let code = i32::from(crate::run(crate::SupervisorConfig::new(PathBuf::from(dir))).is_err());
        std::process::exit(code);
    }
}
