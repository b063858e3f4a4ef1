//! Functions that look at files: only where the host offers any and the place allows it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::MAX_TEXT;
use super::args::{ArgError, Args, Outcome};
use crate::host::Files;
use crate::value::Value;

fn files<'a>(args: &'a Args<'_>) -> Result<&'a dyn Files, ArgError> {
    match args.evaluator.host.files() {
        Some(files) if args.evaluator.files_allowed.get() => Ok(files),
        _ => Err("filesystem function disabled".into()),
    }
}

pub(super) fn abspath(args: &Args<'_>) -> Outcome {
    Ok(files(args)?.absolute(&args.string(0)?)?.into())
}

pub(super) fn basename(args: &Args<'_>) -> Outcome {
    files(args)?;
    let path = args.string(0)?;
    Ok(match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        trimmed => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
    .into())
}

pub(super) fn dirname(args: &Args<'_>) -> Outcome {
    files(args)?;
    let path = args.string(0)?;
    Ok(match path.rsplit_once('/') {
        None => ".".to_owned(),
        Some((parent, _)) => clean(if parent.is_empty() { "/" } else { parent }),
    }
    .into())
}

/// A path without doubled slashes, `.` and resolvable `..`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (path.starts_with('/'), joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

pub(super) fn file(args: &Args<'_>) -> Outcome {
    let path = args.string(0)?;
    let bytes = files(args)?.read(&path, MAX_TEXT)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        ArgError::from(format!(
            "contents of {path} are not valid UTF-8; use filebase64 instead"
        ))
    })?;
    Ok(text.into())
}

pub(super) fn filebase64(args: &Args<'_>) -> Outcome {
    let bytes = files(args)?.read(&args.string(0)?, MAX_TEXT / 2)?;
    Ok(BASE64_STANDARD.encode(bytes).into())
}

pub(super) fn fileexists(args: &Args<'_>) -> Outcome {
    Ok(Value::Bool(files(args)?.exists(&args.string(0)?)?))
}

pub(super) fn fileset(args: &Args<'_>) -> Outcome {
    let found = files(args)?.glob(&args.string(0)?, &args.string(1)?)?;
    Args::check_elements(found.len())?;
    Ok(Value::set(found.into_iter().map(Value::from).collect()))
}

pub(super) fn pathexpand(args: &Args<'_>) -> Outcome {
    Ok(files(args)?.expand_home(&args.string(0)?)?.into())
}
