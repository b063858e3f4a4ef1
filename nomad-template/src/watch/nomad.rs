//! Nomad's own data over HTTP: which request a query is, and what its answer means.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::http::{HttpClient, Response};
use super::{Fetch, FetchError, Fetched, Fetching, Watch, WatchKey};
use crate::bufconn::Dialer;
use crate::data::{Data, Query, Service, ServiceName, Variable, VariableMeta};

/// Fetches from an agent over in-memory connections, one for each watch.
pub struct HttpFetch {
    dialer: Dialer,
    wait: Duration,
}

impl HttpFetch {
    /// From the agent behind `dialer`; a query is parked for at most `wait`.
    pub fn new(dialer: Dialer, wait: Duration) -> Self {
        Self { dialer, wait }
    }
}

impl Fetch for HttpFetch {
    fn watch(&self, key: &WatchKey) -> Option<Box<dyn Watch>> {
        let target = target(&key.query)?;
        Some(Box::new(HttpWatch {
            client: HttpClient::new(self.dialer.clone()),
            key: key.clone(),
            target,
            wait: self.wait,
        }))
    }
}

struct HttpWatch {
    client: HttpClient,
    key: WatchKey,
    target: String,
    wait: Duration,
}

impl Watch for HttpWatch {
    fn next(&mut self, index: u64) -> Fetching<'_> {
        Box::pin(async move {
            let mut target = self.target.clone();
            if index > 0 {
                push!(target, "&index={index}&wait={}ms", self.wait.as_millis());
            }
            let response = self
                .client
                .get(&target, &self.key.token)
                .await
                .map_err(|error| FetchError(with_cause(&error)))?;
            drop(target);
            understood(&self.key.query, &response)
        })
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Path and parameters of the request for a query; `None` if Nomad does not answer such.
fn target(query: &Query) -> Option<String> {
    let target = match query {
        Query::Variable { path, namespace } => {
            format!(
                "/v1/var/{}?{}",
                escape(path, true),
                namespaced(namespace.as_deref())
            )
        }
        Query::Variables { prefix, namespace } => format!(
            "/v1/vars?prefix={}&{}",
            escape(prefix, false),
            namespaced(namespace.as_deref())
        ),
        Query::Service {
            name,
            region,
            choose,
        } => {
            let mut target = format!("/v1/service/{}?{}", escape(name, false), regional(region));
            if let Some((count, key)) = choose {
                push!(target, "&choose={count}%7C{}", escape(key, false));
            }
            target
        }
        Query::Services { region } => format!("/v1/services?{}", regional(region)),
        Query::Consul { .. } | Query::Vault { .. } => return None,
    };
    Some(target)
}

fn namespaced(namespace: Option<&str>) -> String {
    format!(
        "stale=&namespace={}",
        escape(namespace.unwrap_or("default"), false)
    )
}

fn regional(region: &Option<String>) -> String {
    match region {
        Some(region) => format!("stale=&region={}", escape(region, false)),
        None => "stale=".to_owned(),
    }
}

/// Percent-encodes what may not stand in a path or parameter; slashes may in a path.
fn escape(text: &str, slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~')
            || slashes && byte == b'/';
        if plain {
            out.push(char::from(byte));
        } else {
            push!(out, "%{byte:02X}");
        }
    }
    out
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct VariableJson {
    namespace: String,
    path: String,
    create_index: u64,
    modify_index: u64,
    create_time: i64,
    modify_time: i64,
    items: Option<BTreeMap<String, String>>,
}

impl VariableJson {
    fn meta(&self) -> VariableMeta {
        VariableMeta {
            namespace: self.namespace.clone(),
            path: self.path.clone(),
            create_index: self.create_index,
            modify_index: self.modify_index,
            create_time: self.create_time,
            modify_time: self.modify_time,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceJson {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceName")]
    service_name: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    #[serde(rename = "Datacenter")]
    datacenter: String,
    #[serde(rename = "JobID")]
    job_id: String,
    #[serde(rename = "AllocID")]
    alloc_id: String,
    #[serde(rename = "Address")]
    address: String,
    #[serde(rename = "Port")]
    port: u32,
    #[serde(rename = "Tags")]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamespaceServicesJson {
    services: Option<Vec<ServiceNameJson>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceNameJson {
    service_name: String,
    tags: Option<Vec<String>>,
}

/// Longest text of the agent that an error repeats.
const MAX_ERROR_TEXT: usize = 300;

fn understood(query: &Query, response: &Response) -> Result<Fetched, FetchError> {
    let absent = response.status == 404 && matches!(query, Query::Variable { .. });
    if response.status != 200 && !absent {
        let text = String::from_utf8_lossy(&response.body);
        let text: String = text.trim().chars().take(MAX_ERROR_TEXT).collect();
        return Err(FetchError(format!(
            "the agent answers {}: {text}",
            response.status
        )));
    }
    let data = match query {
        Query::Variable { .. } if absent => Data::Variable(None),
        Query::Variable { .. } => {
            let json: VariableJson = parsed(&response.body)?;
            Data::Variable(Some(Variable {
                meta: json.meta(),
                items: json.items.unwrap_or_default(),
            }))
        }
        Query::Variables { .. } => {
            let json: Option<Vec<VariableJson>> = parsed(&response.body)?;
            Data::Variables(json.iter().flatten().map(VariableJson::meta).collect())
        }
        Query::Service { .. } => {
            let json: Option<Vec<ServiceJson>> = parsed(&response.body)?;
            let services = json.into_iter().flatten().map(|s| Service {
                id: s.id,
                name: s.service_name,
                node_id: s.node_id,
                address: s.address,
                port: s.port,
                datacenter: s.datacenter,
                tags: s.tags.unwrap_or_default(),
                job_id: s.job_id,
                alloc_id: s.alloc_id,
            });
            Data::Service(services.collect())
        }
        Query::Services { .. } => {
            let json: Option<Vec<NamespaceServicesJson>> = parsed(&response.body)?;
            let names = json
                .into_iter()
                .flatten()
                .filter_map(|ns| ns.services)
                .flatten();
            Data::Services(
                names
                    .map(|s| ServiceName {
                        name: s.service_name,
                        tags: s.tags.unwrap_or_default(),
                    })
                    .collect(),
            )
        }
        Query::Consul { .. } | Query::Vault { .. } => {
            return Err(FetchError("Nomad does not answer this".to_owned()));
        }
    };
    let digest = Sha256::new()
        .chain_update([kind(query), u8::from(absent)])
        .chain_update(&response.body)
        .finalize();
    Ok(Fetched {
        index: response.index.unwrap_or(0),
        data,
        digest: digest.into(),
    })
}

/// Equal bodies mean equal data only among answers of a kind.
fn kind(query: &Query) -> u8 {
    match query {
        Query::Variable { .. } => 0,
        Query::Variables { .. } => 1,
        Query::Service { .. } => 2,
        Query::Services { .. } => 3,
        Query::Consul { .. } => 4,
        Query::Vault { .. } => 5,
    }
}

/// Reads JSON. The error never repeats the body, which may be secret.
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, FetchError> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        FetchError(format!(
            "the agent's answer cannot be read, line {line} column {column}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_escaped() {
        let variable = Query::Variable {
            path: "nomad/jobs/a b&c".to_owned(),
            namespace: Some("n?s".to_owned()),
        };
        assert_eq!(
            target(&variable).unwrap(),
            "/v1/var/nomad/jobs/a%20b%26c?stale=&namespace=n%3Fs"
        );
        let service = Query::Service {
            name: "a/b".to_owned(),
            region: None,
            choose: Some((2, "k|y".to_owned())),
        };
        assert_eq!(
            target(&service).unwrap(),
            "/v1/service/a%2Fb?stale=&choose=2%7Ck%7Cy"
        );
    }

    #[test]
    fn absent_is_data_and_refusal_is_an_error() {
        let query = Query::Variable {
            path: "x".to_owned(),
            namespace: None,
        };
        let response = |status, body: &str| Response {
            status,
            index: Some(3),
            body: body.as_bytes().to_vec(),
        };
        let absent = understood(&query, &response(404, "variable not found")).unwrap();
        assert_eq!((absent.index, absent.data), (3, Data::Variable(None)));
        let error = understood(&query, &response(403, "Permission denied")).unwrap_err();
        assert_eq!(error.0, "the agent answers 403: Permission denied");
        let error = understood(&query, &response(200, "{\"Items\": secret}")).unwrap_err();
        assert!(!error.0.contains("secret"));
    }
}
