//! `/v1/namespaces` and `/v1/namespace/:name`, for reading.

use nomad_state::command::NamespaceRow;
use nomad_state::{Table, WatchKey};

use super::answer::Answer;
use super::blocking::{read_json, read_one};
use super::{Call, RouteResult};
use crate::error::ApiError;

pub(super) async fn route(call: Call, family: &str, rest: Option<&str>) -> RouteResult {
    call.expect_get()?;
    let keys = || vec![WatchKey::Table(Table::Namespaces)];
    match (family, rest) {
        ("namespaces", None) => {
            let prefix = call.options.prefix.clone();
            read_json(&call, keys, |state| {
                let rows: Vec<NamespaceRow> = state
                    .namespaces()
                    .filter(|namespace| namespace.name.starts_with(&prefix))
                    .map(|namespace| (**namespace).clone())
                    .collect();
                Ok(Answer::new(
                    state.table_index(Table::Namespaces).max(1),
                    rows,
                ))
            })
            .await
        }
        ("namespace", Some(name)) => {
            read_one(&call, "Namespace not found", keys, |state| {
                let row = state.namespace(name).map(|namespace| (**namespace).clone());
                Ok(Answer::new(
                    state.table_index(Table::Namespaces).max(1),
                    row,
                ))
            })
            .await
        }
        _ => Err(ApiError::no_route()),
    }
}
