//! From what a client asks for to what the kernel takes, with every mistake named.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Gid, Resource, Rlimit, Uid};

use crate::sys::spawn::Identity;
use crate::types::{Credentials, LogSpec, MAX_ID_BYTES, ResourceLimit, TaskSpec};
use crate::wire::{ErrorKind, Refusal};

/// Program, arguments, environment and directory as C strings.
pub(super) struct Image {
    pub(super) path: CString,
    pub(super) argv: Vec<CString>,
    pub(super) envp: Vec<CString>,
    pub(super) cwd: CString,
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorKind::Invalid, message)
}

fn c_string(what: &str, bytes: &[u8]) -> Result<CString, Refusal> {
    CString::new(bytes).map_err(|_| invalid(format!("{what} contains a zero byte")))
}

/// Turns names into C strings.
pub(super) fn image(
    command: &Path,
    args: &[String],
    env: &BTreeMap<String, String>,
    cwd: &Path,
) -> Result<Image, Refusal> {
    for (what, path) in [("command", command), ("working directory", cwd)] {
        if !path.is_absolute() {
            return Err(invalid(format!(
                "{what} {} is not an absolute path",
                path.display()
            )));
        }
    }
    let path = c_string("command", command.as_os_str().as_bytes())?;
    let mut argv = vec![path.clone()];
    for arg in args {
        argv.push(c_string("an argument", arg.as_bytes())?);
    }
    let mut envp = Vec::with_capacity(env.len());
    for (name, value) in env {
        if name.is_empty() || name.contains('=') {
            return Err(invalid(format!(
                "{name:?} cannot be the name of an environment variable"
            )));
        }
        envp.push(c_string(
            &format!("environment variable {name}"),
            format!("{name}={value}").as_bytes(),
        )?);
    }
    Ok(Image {
        path,
        argv,
        envp,
        cwd: c_string("working directory", cwd.as_os_str().as_bytes())?,
    })
}

/// Checks what is not checked by using it.
pub(super) fn check(spec: &TaskSpec) -> Result<(), Refusal> {
    if spec.id.is_empty() || spec.id.len() > MAX_ID_BYTES {
        return Err(invalid(format!("a task id has 1 to {MAX_ID_BYTES} bytes")));
    }
    if spec
        .oom_score_adj
        .is_some_and(|score| !(-1000..=1000).contains(&score))
    {
        return Err(invalid("oom_score_adj must be between -1000 and 1000"));
    }
    spec.logs.as_ref().map_or(Ok(()), check_logs)
}

fn check_logs(logs: &LogSpec) -> Result<(), Refusal> {
    /// File names have at most 255 bytes; the longest of ours is `.<task>.stderr.fifo`.
    const MAX_TASK_NAME_BYTES: usize = 220;
    let name = &logs.task;
    if name.is_empty() || name.len() > MAX_TASK_NAME_BYTES || name.contains(['/', '\0']) {
        return Err(invalid(format!("{name:?} cannot name log files")));
    }
    if logs.max_files == 0 || logs.max_file_size == 0 {
        return Err(invalid("max_files and max_file_size must be at least 1"));
    }
    Ok(())
}

/// User and groups in the kernel's form.
pub(super) fn identity(credentials: &Credentials) -> Identity {
    Identity {
        uid: Uid::from_raw(credentials.uid),
        gid: Gid::from_raw(credentials.gid),
        groups: credentials
            .groups
            .iter()
            .map(|g| Gid::from_raw(*g))
            .collect(),
    }
}

/// The resource limits of a process: the task's own, and the limit of open files that we raised for ourselves.
pub(super) fn rlimits(own: &[ResourceLimit], nofile: &Rlimit) -> Vec<(u32, libc::rlimit)> {
    let infinite = |n: Option<u64>| n.unwrap_or(libc::RLIM_INFINITY);
    let nofile = libc::rlimit {
        rlim_cur: infinite(nofile.current),
        rlim_max: infinite(nofile.maximum),
    };
    let own = own.iter().map(|l| {
        (
            l.resource,
            libc::rlimit {
                rlim_cur: l.soft,
                rlim_max: l.hard,
            },
        )
    });
    [(Resource::Nofile as u32, nofile)]
        .into_iter()
        .chain(own)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_cannot_take_is_named() {
        let env = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let none = BTreeMap::new();
        let of = |command: &str, arg: &str, env: &BTreeMap<String, String>, cwd: &str| {
            image(Path::new(command), &[arg.to_owned()], env, Path::new(cwd))
                .map(|_| ())
                .map_err(|r| r.message)
        };
        assert_eq!(
            of("sh", "", &none, "/").unwrap_err(),
            "command sh is not an absolute path"
        );
        assert_eq!(
            of("/sh", "", &none, "x").unwrap_err(),
            "working directory x is not an absolute path"
        );
        assert_eq!(
            of("/sh", "a\0b", &none, "/").unwrap_err(),
            "an argument contains a zero byte"
        );
        assert!(
            of("/sh", "", &env("A=B", "c"), "/")
                .unwrap_err()
                .contains("\"A=B\"")
        );
        assert_eq!(
            of("/sh", "", &env("A", "\0"), "/").unwrap_err(),
            "environment variable A contains a zero byte"
        );
        assert_eq!(of("/sh", "", &env("A", "b=c"), "/"), Ok(()));
    }

    #[test]
    fn log_names_stay_in_their_directory() {
        let logs = |task: &str, max_files| LogSpec {
            dir: "/l".into(),
            task: task.into(),
            max_files,
            max_file_size: 1,
        };
        assert!(check_logs(&logs("../x", 1)).is_err());
        assert!(check_logs(&logs("", 1)).is_err());
        assert!(check_logs(&logs("web", 0)).is_err());
        assert!(check_logs(&logs("web", 1)).is_ok());
    }
}
