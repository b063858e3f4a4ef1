//! sprig's defaults, types, paths, URLs, JSON, random texts, and what it has that is not here.

use std::collections::BTreeMap;

use crate::functions::convert::to_json;
use crate::functions::{Call, Entry, FuncError};
use crate::value::encode::json;
use crate::value::{Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("sprig_default", "default value?", |c| {
        Ok(c.get(usize::from(c.get(1).truth())).clone())
    }),
    ("sprig_empty", "value", |c| Ok((!c.get(0).truth()).into())),
    ("sprig_coalesce", "values*", |c| {
        Ok(c.args
            .iter()
            .find(|v| v.truth())
            .cloned()
            .unwrap_or_default())
    }),
    ("sprig_all", "values*", |c| {
        Ok(c.args.iter().all(Value::truth).into())
    }),
    ("sprig_any", "values*", |c| {
        Ok(c.args.iter().any(Value::truth).into())
    }),
    ("sprig_ternary", "yes no test", |c| {
        Ok(c.get(usize::from(!c.bool(2)?)).clone())
    }),
    ("sprig_fail", "message", |c| Err(FuncError::new(c.str(0)?))),
    ("sprig_fromJson", "text", |c| {
        Ok(json::read(&c.str(0)?).unwrap_or_default())
    }),
    ("sprig_mustFromJson", "text", |c| json::read(&c.str(0)?)),
    ("sprig_toJson", "value", |c| to_json(c, true, None)),
    ("sprig_mustToJson", "value", |c| to_json(c, true, None)),
    ("sprig_toPrettyJson", "value", |c| {
        to_json(c, true, Some("  "))
    }),
    ("sprig_mustToPrettyJson", "value", |c| {
        to_json(c, true, Some("  "))
    }),
    ("sprig_toRawJson", "value", |c| to_json(c, false, None)),
    ("sprig_mustToRawJson", "value", |c| to_json(c, false, None)),
    ("sprig_typeOf", "value", |c| Ok(c.get(0).go_type().into())),
    ("sprig_typeIs", "type value", |c| {
        Ok((*c.str(0)? == *c.get(1).go_type()).into())
    }),
    ("sprig_typeIsLike", "type value", |c| {
        let (want, is) = (c.str(0)?, c.get(1).go_type());
        Ok((*want == *is || format!("*{want}") == is).into())
    }),
    ("sprig_kindOf", "value", |c| Ok(c.get(0).kind().into())),
    ("sprig_kindIs", "kind value", |c| {
        Ok((*c.str(0)? == *c.get(1).kind()).into())
    }),
    ("sprig_base", "path", |c| Ok(base(&c.str(0)?).into())),
    ("sprig_osBase", "path", |c| Ok(base(&c.str(0)?).into())),
    ("sprig_dir", "path", |c| Ok(dir(&c.str(0)?).into())),
    ("sprig_osDir", "path", |c| Ok(dir(&c.str(0)?).into())),
    ("sprig_clean", "path", |c| Ok(clean(&c.str(0)?).into())),
    ("sprig_osClean", "path", |c| Ok(clean(&c.str(0)?).into())),
    ("sprig_ext", "path", |c| Ok(ext(&c.str(0)?).into())),
    ("sprig_osExt", "path", |c| Ok(ext(&c.str(0)?).into())),
    ("sprig_isAbs", "path", |c| {
        Ok(c.str(0)?.starts_with('/').into())
    }),
    ("sprig_osIsAbs", "path", |c| {
        Ok(c.str(0)?.starts_with('/').into())
    }),
    ("sprig_urlParse", "url", |c| Ok(url_parse(&c.str(0)?))),
    ("sprig_urlJoin", "parts", url_join),
    ("sprig_uuidv4", "", |c| {
        let (a, b) = (c.scope.random(), c.scope.random());
        Ok(format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 48 & 0x3fff | 0x8000,
            b & 0xffff_ffff_ffff
        )
        .into())
    }),
    ("sprig_randAlphaNum", "length", |c| {
        random_text(
            c,
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        )
    }),
    ("sprig_randAlpha", "length", |c| {
        random_text(c, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    }),
    ("sprig_randNumeric", "length", |c| {
        random_text(c, b"0123456789")
    }),
    ("sprig_randAscii", "length", |c| {
        let all: Vec<u8> = (32..127).collect();
        random_text(c, &all)
    }),
    ("sprig_getHostByName", "name", missing),
    ("sprig_randBytes", "length", missing),
    ("sprig_bcrypt", "text", missing),
    ("sprig_htpasswd", "user password", missing),
    ("sprig_derivePassword", "args*", missing),
    ("sprig_encryptAES", "password text", missing),
    ("sprig_decryptAES", "password text", missing),
    ("sprig_genPrivateKey", "kind", missing),
    ("sprig_buildCustomCert", "args*", missing),
    ("sprig_genCA", "args*", missing),
    ("sprig_genCAWithKey", "args*", missing),
    ("sprig_genSelfSignedCert", "args*", missing),
    ("sprig_genSelfSignedCertWithKey", "args*", missing),
    ("sprig_genSignedCert", "args*", missing),
    ("sprig_genSignedCertWithKey", "args*", missing),
];

fn missing(c: &Call<'_>) -> Result<Value, FuncError> {
    Err(FuncError::new(format!("{}: not supported", c.name)))
}

/// Longest random text.
const MAX_RANDOM: usize = 65_536;

fn random_text(c: &Call<'_>, alphabet: &[u8]) -> Result<Value, FuncError> {
    let count = c.count(0)?;
    if count > MAX_RANDOM {
        return Err(FuncError::new(format!("longer than {MAX_RANDOM}")));
    }
    let text: String = (0..count)
        .map(|_| char::from(alphabet[(c.scope.random() % alphabet.len() as u64) as usize]))
        .collect();
    Ok(text.into())
}

/// `path.Base`.
fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        trimmed => trimmed.rsplit('/').next().unwrap_or(trimmed).to_owned(),
    }
}

/// `path.Dir`.
fn dir(path: &str) -> String {
    clean(
        path.rsplit_once('/')
            .map_or("", |(dir, _)| if dir.is_empty() { "/" } else { dir }),
    )
}

/// `path.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if rooted => {}
            other => kept.push(other),
        }
    }
    match (rooted, kept.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

/// `path.Ext`.
fn ext(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.')
        .map_or(String::new(), |at| name[at..].to_owned())
}

fn url_parse(url: &str) -> Value {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = match rest.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), Some(rest)),
        None => (String::new(), rest.strip_prefix("//")),
    };
    let (authority, path) = match rest {
        Some(rest) => match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        },
        None => ("", url.split(['?', '#']).next().unwrap_or_default()),
    };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    let name = if host.starts_with('[') {
        host.trim_start_matches('[')
            .split(']')
            .next()
            .unwrap_or_default()
    } else {
        host.split(':').next().unwrap_or_default()
    };
    let entries: BTreeMap<&str, &str> = BTreeMap::from([
        ("scheme", scheme.as_str()),
        ("host", host),
        ("hostname", name),
        ("path", path),
        ("query", query),
        ("opaque", ""),
        ("fragment", fragment),
        ("userinfo", user),
    ]);
    Value::map(
        entries
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
    )
}

fn url_join(c: &Call<'_>) -> Result<Value, FuncError> {
    let map = c.map(0)?;
    let part = |key: &str| map.entries.get(key).map(fmt::text).unwrap_or_default();
    let mut url = String::new();
    if !part("scheme").is_empty() {
        url.push_str(&part("scheme"));
        url.push_str("://");
    } else if !part("host").is_empty() {
        url.push_str("//");
    }
    if !part("userinfo").is_empty() {
        url.push_str(&part("userinfo"));
        url.push('@');
    }
    url.push_str(&part("host"));
    let path = part("path");
    if !path.is_empty() && !path.starts_with('/') && !part("host").is_empty() {
        url.push('/');
    }
    url.push_str(&path);
    for (key, mark) in [("query", '?'), ("fragment", '#')] {
        if !part(key).is_empty() {
            url.push(mark);
            url.push_str(&part(key));
        }
    }
    Ok(url.into())
}
