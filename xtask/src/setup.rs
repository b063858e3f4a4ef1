//! What a build needs from the system, and how to get it: a C++ compiler and libclang for the RocksDB bindings.

use crate::ui;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time for `apt-get`, slow mirrors included.
const INSTALL_LIMIT: Duration = Duration::from_mins(20);

/// A thing that must be there, and the Debian package that brings it.
struct Need {
    what: &'static str,
    why: &'static str,
    package: &'static str,
    there: fn() -> bool,
}

const NEEDS: [Need; 3] = [
    Need {
        what: "a C compiler",
        why: "linking, and the allocator",
        package: "gcc libc6-dev",
        there: || runs("cc"),
    },
    Need {
        what: "a C++ compiler",
        why: "RocksDB",
        package: "g++",
        there: || runs("c++"),
    },
    Need {
        what: "libclang",
        why: "the RocksDB bindings",
        package: "libclang-dev",
        there: libclang,
    },
];

/// `cargo xtask setup`.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("setup takes no argument, got `{arg}`");
    }
    let ws = Workspace::load()?;
    ensure(&ws)?;
    println!("setup: a build has all it needs");
    Ok(true)
}

/// Installs what is missing where that is possible, else says in one line what to do. Asks nothing.
pub(crate) fn ensure(ws: &Workspace) -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|n| !(n.there)()).collect();
    if !missing.is_empty() {
        install(ws, &missing)?;
    }
    if ws.build_environment().is_empty()
        && std::env::var_os("ROCKSDB_LIB_DIR").is_none()
        && !built_before(ws)
    {
        println!(
            "setup: RocksDB is compiled from source, once a profile: about 25 minutes on 2 cores"
        );
    }
    Ok(())
}

fn install(ws: &Workspace, missing: &[&Need]) -> Result<()> {
    let packages: Vec<&str> = missing.iter().flat_map(|n| n.package.split(' ')).collect();
    let by_hand = format!("apt-get install {}", packages.join(" "));
    let named: Vec<String> = missing
        .iter()
        .map(|n| format!("{} (for {})", n.what, n.why))
        .collect();
    let named = named.join(", ");
    if !runs("apt-get") {
        bail!(
            "missing: {named}; install what Debian calls {}, then run this again",
            packages.join(", ")
        );
    }
    let Some(prefix) = privileges() else {
        bail!("missing: {named}; run `sudo {by_hand}`, then this again");
    };
    println!("setup: missing {named}; installing {}", packages.join(", "));
    let started = Instant::now();
    let log = ws.target.join("xtask-logs/setup.log");
    for (i, args) in [
        vec!["update"],
        [vec!["install", "-y", "--no-install-recommends"], packages].concat(),
    ]
    .iter()
    .enumerate()
    {
        let mut words: Vec<&str> = prefix.to_vec();
        words.push("apt-get");
        words.extend(args);
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive");
        let done = ui::run_logged("apt-get", command, &log, INSTALL_LIMIT, i > 0)?;
        // A failed update may still leave a package list that is good enough; a failed install does not.
        if !done.success && i > 0 {
            print!("{}", ui::tail(&done.log, 5));
            bail!(
                "could not install {named}; run `{by_hand}` yourself (log: {})",
                log.display()
            );
        }
    }
    if let Some(need) = missing.iter().find(|n| !(n.there)()) {
        bail!(
            "{} is still not found after `{by_hand}`; see {}",
            need.what,
            log.display()
        );
    }
    println!("setup: installed in {}", ui::duration(started.elapsed()));
    Ok(())
}

/// Has RocksDB been compiled in this target folder already?
fn built_before(ws: &Workspace) -> bool {
    ["debug", "release"].iter().any(|profile| {
        let dir = ws.target.join(profile).join("build");
        entries(&dir).iter().any(|e| {
            file_name(e).starts_with("librocksdb-sys-") && e.join("out/librocksdb.a").is_file()
        })
    })
}

/// Words to put before a command that needs root; none if we cannot become root without asking.
fn privileges() -> Option<&'static [&'static str]> {
    if output("id", &["-u"]).is_some_and(|id| id.trim() == "0") {
        Some(&[])
    } else if output("sudo", &["-n", "true"]).is_some() {
        Some(&["sudo", "-n", "--preserve-env=DEBIAN_FRONTEND"])
    } else {
        None
    }
}

/// Makes sure that a rustup component answers; the error says why a check that needs it is skipped.
pub(crate) fn component(ws: &Workspace, name: &str, subcommand: &str) -> Result<()> {
    let answers = || {
        let mut command = ws.cargo();
        command
            .args([subcommand, "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|s| s.success())
    };
    if answers() {
        return Ok(());
    }
    let log = ws.target.join("xtask-logs/rustup.log");
    let mut command = ws.command("rustup");
    command.args(["component", "add", name]);
    ui::run_logged("rustup", command, &log, INSTALL_LIMIT, false)
        .with_context(|| format!("{name} is not installed and rustup is not there to add it"))?;
    if !answers() {
        bail!("{name} is not installed and `rustup component add {name}` failed");
    }
    Ok(())
}

/// Does the program start? What it answers to `--version` does not matter.
pub(crate) fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok()
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    out.status
        .success()
        .then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The library, and the compiler headers that lie beside it: bindings cannot be made without either.
fn libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let is_library = |p: &PathBuf| {
        let name = file_name(p);
        (name.starts_with("libclang.so") || name.starts_with("libclang-")) && name.contains(".so")
    };
    let roots: Vec<PathBuf> = entries(Path::new("/usr/lib"))
        .into_iter()
        .chain(["/usr/lib".into(), "/usr/lib64".into()])
        .collect();
    let libraries = roots
        .iter()
        .flat_map(|r| [r.clone(), r.join("lib")])
        .any(|d| entries(&d).iter().any(is_library));
    let headers = roots
        .iter()
        .flat_map(|r| [r.join("clang"), r.join("lib/clang")])
        .any(|d| {
            entries(&d)
                .iter()
                .any(|v| v.join("include/stddef.h").is_file())
        });
    libraries && headers
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .map(|d| d.flatten().map(|e| e.path()).collect())
        .unwrap_or_default()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_nothing() {
        assert!(runs("sh"));
        assert!(!runs("no-such-program-here"));
    }

    #[test]
    fn every_need_names_its_package() {
        for need in &NEEDS {
            assert!(
                !need.package.is_empty() && !need.why.is_empty(),
                "{}",
                need.what
            );
        }
    }
}
