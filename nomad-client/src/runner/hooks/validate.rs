//! Refuses users that tasks must not run as.

use super::super::prepare::Prep;
use crate::machine::alloc::StartError;
use crate::users;

/// Drivers whose tasks are checked unless `user.checked_drivers` says otherwise.
const CHECKED_DRIVERS: &str = "exec,qemu,java";
/// Users that those refuse unless `user.denylist` says otherwise.
const DENIED_USERS: &str = "root,Administrator";

pub(super) fn run(prep: &mut Prep<'_>) -> Result<(), StartError> {
    let config = &prep.runner.shared.config;
    let listed = |option: &str, default: &str, name: &str| {
        config
            .option(option)
            .unwrap_or(default)
            .split(',')
            .any(|item| item.trim() == name)
    };
    let user = prep.task.user.clone();
    if user.is_empty() {
        return Ok(());
    }
    if listed("user.checked_drivers", CHECKED_DRIVERS, &prep.task.driver)
        && listed("user.denylist", DENIED_USERS, &user)
    {
        return Err(prep.invalid(&format!("running as user {user:?} is disallowed")));
    }
    // An image has users of its own.
    if !prep.capabilities.own_image {
        prep.owner = users::ids_of(&user);
    }
    Ok(())
}
