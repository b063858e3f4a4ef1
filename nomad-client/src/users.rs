//! Numbers of users, as far as files have to be given to them.

use std::fs;

/// Most of the password file that is read, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// User and group id of `name`, `uid` or `uid:gid`. `None` when there is no such user: the driver will say so.
pub(crate) fn ids_of(user: &str) -> Option<(u32, u32)> {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let found = text
        .get(..text.len().min(MAX_BYTES))
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            (fields[0] == name || fields[2] == name).then_some((uid, gid))
        })
        .or_else(|| name.parse().ok().map(|uid| (uid, uid)))?;
    Some((found.0, group.parse().unwrap_or(found.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(ids_of("root"), Some((0, 0)));
        assert_eq!(ids_of("0"), Some((0, 0)));
        assert_eq!(ids_of("1234567:7"), Some((1_234_567, 7)));
        assert_eq!(ids_of("no such user"), None);
    }
}
