//! Users and groups of this machine, and which of them tasks may not be.

use std::fs;

use nomad_supervisor::Credentials;

/// Why a task cannot run as a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Nobody of that name.
    #[error("failed to identify user {name:?}: unknown user")]
    Unknown {
        /// As given.
        name: String,
    },
    /// The agent's configuration forbids it.
    #[error("running as {what} {id} is disallowed")]
    Denied {
        /// `uid` or `gid`.
        what: &'static str,
        /// The number.
        id: u32,
    },
    /// The agent's configuration cannot be read.
    #[error("invalid range {text:?}: expected numbers and ranges such as 0-99,65534")]
    BadRange {
        /// The offending part.
        text: String,
    },
}

/// Ids that tasks may not have: `0,100-200`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IdRanges(Vec<(u32, u32)>);

impl IdRanges {
    pub(crate) fn parse(text: &str) -> Result<Self, UserError> {
        let range = |part: &str| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            (low <= high).then_some((low, high))
        };
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let ranges = parts.map(|part| {
            range(part).ok_or_else(|| UserError::BadRange {
                text: part.to_owned(),
            })
        });
        ranges.collect::<Result<_, _>>().map(Self)
    }

    fn holds(&self, id: u32) -> bool {
        self.0
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&id))
    }

    pub(crate) fn check(uids: &Self, gids: &Self, user: &Credentials) -> Result<(), UserError> {
        if uids.holds(user.uid) {
            return Err(UserError::Denied {
                what: "uid",
                id: user.uid,
            });
        }
        let denied = [user.gid]
            .iter()
            .chain(&user.groups)
            .copied()
            .find(|gid| gids.holds(*gid));
        denied.map_or(Ok(()), |id| Err(UserError::Denied { what: "gid", id }))
    }
}

/// Finds a user by name or number in `/etc/passwd`, else by asking `getent`, which knows directories, too.
pub(crate) async fn find(name: &str) -> Result<Credentials, UserError> {
    let unknown = || UserError::Unknown {
        name: name.to_owned(),
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    if let Some(found) = in_files(name, &passwd, &groups) {
        return Ok(found);
    }
    let line = getent("passwd", name).await.ok_or_else(unknown)?;
    let mut found = in_files(name, &line, &groups).ok_or_else(unknown)?;
    if let Some(more) = getent("initgroups", name).await {
        found.groups = more
            .split_whitespace()
            .skip(1)
            .filter_map(|g| g.parse().ok())
            .collect();
    }
    Ok(found)
}

/// The user that this process runs as.
pub(crate) fn current() -> Credentials {
    let groups = rustix::process::getgroups().unwrap_or_default();
    Credentials {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        groups: groups
            .into_iter()
            .map(rustix::process::Gid::as_raw)
            .collect(),
    }
}

async fn getent(database: &str, key: &str) -> Option<String> {
    // A key that looks like an option is no user.
    if key.starts_with('-') {
        return None;
    }
    let output = tokio::process::Command::new("getent")
        .args([database, key])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(5), output)
        .await
        .ok()?
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn in_files(name: &str, passwd: &str, groups: &str) -> Option<Credentials> {
    let users = passwd
        .lines()
        .map(|l| l.split(':').collect::<Vec<_>>())
        .filter(|f| f.len() >= 4);
    let all: Vec<_> = users.collect();
    let user = all
        .iter()
        .find(|f| f[0] == name)
        .or_else(|| all.iter().find(|f| f[2] == name))?;
    let (uid, gid) = (user[2].parse().ok()?, user[3].parse().ok()?);
    let mut member_of = vec![gid];
    for line in groups.lines() {
        let fields: Vec<_> = line.split(':').collect();
        if let [_, _, id, members] = fields[..]
            && members.split(',').any(|m| m == user[0])
            && let Ok(id) = id.parse()
            && !member_of.contains(&id)
        {
            member_of.push(id);
        }
    }
    Some(Credentials {
        uid,
        gid,
        groups: member_of,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/:/bin/false\nbroken\n";
    const GROUPS: &str = "root:x:0:\nwww:x:34:web\nlog:x:40:root,web\nx:x:bad:web\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let web = Credentials {
            uid: 33,
            gid: 34,
            groups: vec![34, 40],
        };
        assert_eq!(in_files("web", PASSWD, GROUPS), Some(web.clone()));
        assert_eq!(in_files("33", PASSWD, GROUPS), Some(web));
        assert_eq!(in_files("nobody-here", PASSWD, GROUPS), None);
    }

    #[test]
    fn denied_ids_are_checked_with_all_groups() {
        let ranges = |text: &str| IdRanges::parse(text).expect("ranges");
        let user = Credentials {
            uid: 33,
            gid: 34,
            groups: vec![34, 40],
        };
        let none = IdRanges::default();
        let check = |uids: &str, gids: &str| IdRanges::check(&ranges(uids), &ranges(gids), &user);
        assert_eq!(check("", ""), Ok(()));
        assert_eq!(
            check("0, 20-40", ""),
            Err(UserError::Denied {
                what: "uid",
                id: 33
            })
        );
        assert_eq!(
            check("0-32,34-99", "35-50").expect_err("group").to_string(),
            "running as gid 40 is disallowed"
        );
        assert_eq!(ranges(""), none);
        for bad in ["x", "5-2", "1-", "-1", "1 2"] {
            assert!(IdRanges::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn root_is_found_and_nonsense_is_not() {
        assert_eq!(find("root").await.expect("root").uid, 0);
        assert!(matches!(
            find("no such user").await,
            Err(UserError::Unknown { .. })
        ));
        assert!(find("--help").await.is_err());
    }
}
