//! Search, regions, and the event stream.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stream::values;
use super::{Client, ClientError, QueryOptions};
use crate::types::{SearchRequest, SearchResponse};

/// Something that happened in the cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Event {
    pub topic: String,
    #[serde(rename = "Type")]
    pub kind: String,
    pub key: String,
    pub namespace: String,
    pub filter_keys: Option<Vec<String>>,
    pub index: u64,
    /// The object, by its type's name.
    pub payload: Value,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Events {
    events: Vec<Event>,
}

impl Client {
    /// Ids that begin with a prefix.
    pub async fn search(
        &self,
        request: &SearchRequest,
        options: &QueryOptions,
    ) -> Result<SearchResponse, ClientError> {
        self.put("/v1/search", request, options).await
    }

    /// Regions of the federation.
    pub async fn regions(&self) -> Result<Vec<String>, ClientError> {
        Ok(self.get("/v1/regions", &QueryOptions::new()).await?.0)
    }

    /// Events from `index` on; topics as `Topic` or `Topic:key`, none for all.
    pub async fn events(
        &self,
        topics: &[&str],
        options: &QueryOptions,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<Event, ClientError>> + Send>>, ClientError> {
        let options = topics.iter().fold(options.clone(), |options, topic| {
            options.param("topic", *topic)
        });
        let path = "/v1/event/stream";
        let bytes = self.bytes(path, &options).await?;
        let events = values::<Events>(path, bytes).flat_map(|batch| {
            let events: Vec<Result<Event, ClientError>> = match batch {
                Ok(batch) => batch.events.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            futures::stream::iter(events)
        });
        Ok(Box::pin(events))
    }
}
