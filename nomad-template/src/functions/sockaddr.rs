//! `sockaddr`: the small language of go-sockaddr over the host's network interfaces.

use std::net::IpAddr;

use super::args::items;
use super::collections::member;
use super::pattern::compile;
use super::{Call, Entry, FuncError};
use crate::data::InterfaceAddr;
use crate::value::{Record, Value, fmt};

/// Prefix under which the functions of the inner language are found; none can be called from outside it.
pub(crate) const PREFIX: &str = "sockaddr.";

pub(super) const TABLE: &[Entry] = &[
    ("sockaddr", "expression", |c| {
        let text = crate::engine::go::evaluate_pipeline(&c.str(0)?, c.scope, PREFIX)?;
        Ok(text.into())
    }),
    ("sockaddr.GetAllInterfaces", "", |c| Ok(select(c, |_| true))),
    ("sockaddr.GetDefaultInterfaces", "", |c| {
        Ok(select(c, |i| i.default_route))
    }),
    ("sockaddr.GetPrivateInterfaces", "", |c| {
        Ok(select(c, |i| {
            i.default_route && i.up && is_private(i.address)
        }))
    }),
    ("sockaddr.GetPublicInterfaces", "", |c| {
        Ok(select(c, |i| {
            i.default_route && i.up && is_public(i.address)
        }))
    }),
    ("sockaddr.GetPrivateIP", "", |c| {
        first(c, |i| i.default_route && i.up && is_private(i.address))
    }),
    ("sockaddr.GetPrivateIPs", "", |c| {
        all(c, |i| i.up && is_private(i.address))
    }),
    ("sockaddr.GetPublicIP", "", |c| {
        first(c, |i| i.default_route && i.up && is_public(i.address))
    }),
    ("sockaddr.GetPublicIPs", "", |c| {
        all(c, |i| i.up && is_public(i.address))
    }),
    ("sockaddr.GetInterfaceIP", "name", |c| {
        let name = compile(&c.str(0)?)?;
        first(c, |i| i.up && name.is_match(&i.name))
    }),
    ("sockaddr.GetInterfaceIPs", "name", |c| {
        let name = compile(&c.str(0)?)?;
        all(c, |i| i.up && name.is_match(&i.name))
    }),
    ("sockaddr.include", "selector pattern addresses", |c| {
        filter(c, true)
    }),
    ("sockaddr.exclude", "selector pattern addresses", |c| {
        filter(c, false)
    }),
    ("sockaddr.attr", "name addresses", |c| {
        let list = c.list(1).unwrap_or_else(|_| vec![c.get(1).clone()]);
        match list.first() {
            Some(address) => attribute(address, &c.str(0)?),
            None => Ok("".into()),
        }
    }),
    ("sockaddr.join", "name separator addresses", |c| {
        let name = c.str(0)?;
        let texts: Result<Vec<String>, FuncError> = c
            .list(2)?
            .iter()
            .map(|address| attribute(address, &name).map(|value| fmt::text(&value)))
            .collect();
        Ok(texts?.join(&c.str(1)?).into())
    }),
    ("sockaddr.limit", "count addresses", |c| {
        let count = c.count(0)?;
        Ok(Value::list(c.list(1)?.into_iter().take(count).collect()))
    }),
    ("sockaddr.offset", "count addresses", |c| {
        let list = c.list(1)?;
        let skip = match c.int(0)? {
            n if n < 0 => list.len().saturating_sub(n.unsigned_abs() as usize),
            n => n as usize,
        };
        Ok(Value::list(list.into_iter().skip(skip).collect()))
    }),
    ("sockaddr.sort", "keys addresses", sort),
    ("sockaddr.unique", "name addresses", |c| {
        let name = c.str(0)?;
        let mut seen = std::collections::BTreeSet::new();
        let mut kept = Vec::new();
        for address in c.list(1)? {
            if seen.insert(fmt::text(&attribute(&address, &name)?)) {
                kept.push(address);
            }
        }
        Ok(Value::list(kept))
    }),
];

fn select(c: &Call<'_>, want: impl Fn(&InterfaceAddr) -> bool) -> Value {
    let chosen = c.scope.interfaces.iter().filter(|i| want(i)).map(value);
    Value::list(chosen.collect())
}

fn first(c: &Call<'_>, want: impl Fn(&InterfaceAddr) -> bool) -> Result<Value, FuncError> {
    let mut found: Vec<&InterfaceAddr> = c.scope.interfaces.iter().filter(|i| want(i)).collect();
    found.sort_by_key(|i| i.address.is_ipv6());
    Ok(found
        .first()
        .map_or("".into(), |i| i.address.to_string().into()))
}

fn all(c: &Call<'_>, want: impl Fn(&InterfaceAddr) -> bool) -> Result<Value, FuncError> {
    let found = c.scope.interfaces.iter().filter(|i| want(i));
    let texts: Vec<String> = found.map(|i| i.address.to_string()).collect();
    Ok(texts.join(" ").into())
}

fn value(i: &InterfaceAddr) -> Value {
    let mut flags = Vec::new();
    if i.up {
        flags.push("up");
    }
    if i.address.is_loopback() {
        flags.push("loopback");
    }
    if is_link_local(i.address) {
        flags.push("link-local unicast");
    } else if !i.address.is_loopback() {
        flags.push("global unicast");
        flags.push("forwardable");
    }
    let kind = if i.address.is_ipv4() { "IPv4" } else { "IPv6" };
    Value::object(Record {
        go_type: "sockaddr.IfAddr",
        fields: vec![
            ("name", i.name.as_str().into()),
            ("address", i.address.to_string().into()),
            ("type", kind.into()),
            ("size", Value::Int(i64::from(i.prefix_len))),
            ("flags", flags.join("|").into()),
            ("network", format!("{}/{}", i.address, i.prefix_len).into()),
            ("default", i.default_route.into()),
        ],
    })
}

fn attribute(address: &Value, name: &str) -> Result<Value, FuncError> {
    let name = match name.to_ascii_lowercase().as_str() {
        "string" => "network".to_owned(),
        other => other.to_owned(),
    };
    member(address, &name).ok_or_else(|| FuncError::new(format!("sockaddr: no attribute {name:?}")))
}

fn filter(c: &Call<'_>, keep: bool) -> Result<Value, FuncError> {
    let (selector, pattern) = (c.str(0)?.to_ascii_lowercase(), c.str(1)?);
    let list = items(c.get(2)).ok_or_else(|| FuncError::new("sockaddr: want addresses"))?;
    let regex = match selector.as_str() {
        "name" | "address" => Some(compile(&pattern)?),
        _ => None,
    };
    let mut kept = Vec::new();
    for address in list {
        let text = |name: &str| {
            member(&address, name)
                .map(|v| fmt::text(&v))
                .unwrap_or_default()
        };
        let matches = match selector.as_str() {
            "name" | "address" => regex.as_ref().is_some_and(|r| r.is_match(&text(&selector))),
            "type" => pattern.split('|').any(|kind| {
                kind.eq_ignore_ascii_case("ip") || kind.eq_ignore_ascii_case(&text("type"))
            }),
            "flag" | "flags" => {
                let flags = text("flags");
                pattern
                    .split('|')
                    .all(|want| flags.split('|').any(|flag| flag == want))
            }
            "size" => text("size") == pattern.trim_start_matches('/'),
            "network" => {
                let ip: Option<IpAddr> = text("address").parse().ok();
                ip.is_some_and(|ip| pattern.split('|').any(|net| within(ip, net)))
            }
            "rfc" => {
                let ip: Option<IpAddr> = text("address").parse().ok();
                ip.is_some_and(|ip| pattern.split('|').any(|rfc| in_rfc(ip, rfc)))
            }
            other => {
                return Err(FuncError::new(format!(
                    "sockaddr: unknown selector {other:?}"
                )));
            }
        };
        if matches == keep {
            kept.push(address);
        }
    }
    Ok(Value::list(kept))
}

fn sort(c: &Call<'_>) -> Result<Value, FuncError> {
    let keys = c.str(0)?.into_owned();
    let mut list = c.list(1)?;
    for key in keys.split(',').rev() {
        let (descending, name) = match key.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, key.strip_prefix('+').unwrap_or(key)),
        };
        let rank = |address: &Value| -> (u128, String) {
            let text = |name: &str| {
                member(address, name)
                    .map(|v| fmt::text(&v))
                    .unwrap_or_default()
            };
            match name {
                "default" => (u128::from(text("default") != "true"), String::new()),
                "address" => (
                    text("address").parse::<IpAddr>().map_or(0, bits),
                    String::new(),
                ),
                "size" => (text("size").parse().unwrap_or(0), String::new()),
                "private" => (
                    text("address")
                        .parse::<IpAddr>()
                        .map_or(2, |ip| u128::from(!is_private(ip))),
                    String::new(),
                ),
                other => (0, text(other)),
            }
        };
        list.sort_by(|a, b| {
            let order = rank(a).cmp(&rank(b));
            if descending { order.reverse() } else { order }
        });
    }
    Ok(Value::list(list))
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn within(ip: IpAddr, network: &str) -> bool {
    let Some((base, len)) = network.split_once('/') else {
        return network.parse() == Ok(ip);
    };
    let (Ok(base), Ok(len)) = (base.parse::<IpAddr>(), len.parse::<u32>()) else {
        return false;
    };
    let width = if ip.is_ipv4() { 32 } else { 128 };
    if base.is_ipv4() != ip.is_ipv4() || len > width {
        return false;
    }
    let shift = width - len;
    shift == 128 || bits(ip) >> shift == bits(base) >> shift
}

fn in_rfc(ip: IpAddr, rfc: &str) -> bool {
    let networks: &[&str] = match rfc.trim() {
        "1918" => &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
        "6598" => &["100.64.0.0/10"],
        "3927" => &["169.254.0.0/16"],
        "1112" => &["224.0.0.0/4"],
        "4193" => &["fc00::/7"],
        "4291" => &["::1/128", "fe80::/10"],
        "6890" => &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ],
        _ => &[],
    };
    networks.iter().any(|network| within(ip, network))
}

fn is_private(ip: IpAddr) -> bool {
    in_rfc(ip, "1918") || in_rfc(ip, "6598") || in_rfc(ip, "4193")
}

fn is_public(ip: IpAddr) -> bool {
    !in_rfc(ip, "6890")
}

fn is_link_local(ip: IpAddr) -> bool {
    in_rfc(ip, "3927") || within(ip, "fe80::/10")
}
