//! Query strings: the options that every route understands, and typed access to the others.

use std::time::Duration;

use nomad_core::time::parse_go_duration;

use crate::error::ApiError;

/// Longest and default wait of a blocking query.
pub const MAX_WAIT: Duration = Duration::from_mins(5);

/// The decoded query string.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

/// What every read understands.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    pub region: String,
    /// `*` is every namespace.
    pub namespace: String,
    /// Block until the result's index is above this; 0 does not block.
    pub index: u64,
    pub wait: Duration,
    pub stale: bool,
    pub prefix: String,
    /// 0 is no limit.
    pub per_page: usize,
    pub next_token: String,
    pub filter: String,
    pub reverse: bool,
}

impl Query {
    /// Decodes `a=b&c=d`; malformed escapes are kept as they are.
    pub fn parse(text: &str) -> Self {
        let pairs = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (percent_decode(name, true), percent_decode(value, true))
            })
            .collect();
        Self { pairs }
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of that name, or "".
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// Every value of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A boolean as Go reads them; absent and empty are `None`.
    ///
    /// # Errors
    /// Anything else is a 500 with Go's text, which clients know.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(value) => go_bool(value).map(Some).ok_or_else(|| {
                ApiError::internal(format!(
                    "Failed to parse value of {name:?} ({value}) as a bool: strconv.ParseBool: parsing {value:?}: invalid syntax"
                ))
            }),
        }
    }

    /// Whether a boolean was given and true.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.boolean(name)?.unwrap_or(false))
    }

    /// The options that every read understands.
    pub fn options(&self) -> Result<QueryOptions, ApiError> {
        let namespace = match self.text("namespace") {
            "" => nomad_core::DEFAULT_NAMESPACE,
            namespace => namespace,
        };
        let index = match self.text("index") {
            "" => 0,
            text => text
                .parse()
                .map_err(|_| ApiError::bad_request("Invalid index"))?,
        };
        let wait = match self.text("wait") {
            "" => MAX_WAIT,
            text => parse_go_duration(text)
                .ok_or_else(|| ApiError::bad_request("Invalid wait time"))?
                .to_std()
                .min(MAX_WAIT),
        };
        let stale = match self.get("stale") {
            None | Some("false") => false,
            Some("" | "true") => true,
            Some(_) => {
                return Err(ApiError::bad_request(
                    "Expect `true` or `false` for `stale` query string parameter",
                ));
            }
        };
        let per_page = match self.text("per_page") {
            "" => 0,
            text => text
                .parse::<i32>()
                .ok()
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| {
                    ApiError::bad_request("Expect a number for `per_page` query string parameter")
                })?,
        };
        Ok(QueryOptions {
            region: self.text("region").to_owned(),
            namespace: namespace.to_owned(),
            index,
            wait: if wait.is_zero() { MAX_WAIT } else { wait },
            stale,
            prefix: self.text("prefix").to_owned(),
            per_page,
            next_token: self.text("next_token").to_owned(),
            filter: self.text("filter").to_owned(),
            reverse: self.text("reverse") == "true",
        })
    }
}

/// Go's `strconv.ParseBool`.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Decodes `%XX` (and `+` in queries); what is no valid escape stays, bytes that are no UTF-8 are replaced.
pub fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
        match bytes[at] {
            b'%' => {
                if let (Some(high), Some(low)) = (hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
                    out.push((high * 16 + low) as u8);
                    at += 3;
                    continue;
                }
                out.push(b'%');
            }
            b'+' if plus_is_space => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_clamped() {
        let options = Query::parse("index=7&wait=1h&stale=&namespace=%2A&prefix=a+b&per_page=3")
            .options()
            .unwrap();
        assert_eq!(options.index, 7);
        assert_eq!(options.wait, MAX_WAIT);
        assert!(options.stale);
        assert_eq!(options.namespace, "*");
        assert_eq!(options.prefix, "a b");
        assert_eq!(options.per_page, 3);
    }

    #[test]
    fn bad_options_are_named() {
        for (query, text) in [
            ("index=x", "Invalid index"),
            ("wait=soon", "Invalid wait time"),
            (
                "stale=maybe",
                "Expect `true` or `false` for `stale` query string parameter",
            ),
            (
                "per_page=-1",
                "Expect a number for `per_page` query string parameter",
            ),
        ] {
            assert_eq!(Query::parse(query).options().unwrap_err().text, text);
        }
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(percent_decode("a%2Fb%zz%2", false), "a/b%zz%2");
    }
}
