//! Evaluations.

use http::Method;
use nomad_core::eval::Evaluation;

use super::options::encode;
use super::{Client, ClientError, QueryOptions};
use crate::types::{
    AllocListStub, EvalCountResponse, EvalDeleteRequest, EvalDeleteResponse, QueryMeta,
};

type Read<T> = Result<(T, QueryMeta), ClientError>;

impl Client {
    /// Evaluations; `job` and `status` are parameters of the route.
    pub async fn evaluations(&self, options: &QueryOptions) -> Read<Vec<Evaluation>> {
        self.get("/v1/evaluations", options).await
    }

    /// How many evaluations match the options.
    pub async fn evaluation_count(
        &self,
        options: &QueryOptions,
    ) -> Result<EvalCountResponse, ClientError> {
        Ok(self.get("/v1/evaluations/count", options).await?.0)
    }

    /// One evaluation; the parameter `related=true` adds stubs of its relations, which this type leaves out.
    pub async fn evaluation(&self, id: &str, options: &QueryOptions) -> Read<Evaluation> {
        self.get(&format!("/v1/evaluation/{}", encode(id)), options)
            .await
    }

    /// Allocations that an evaluation made or changed.
    pub async fn evaluation_allocations(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Read<Vec<AllocListStub>> {
        self.get(
            &format!("/v1/evaluation/{}/allocations", encode(id)),
            options,
        )
        .await
    }

    /// Deletes evaluations by id or filter; the broker must be paused.
    pub async fn delete_evaluations(
        &self,
        request: &EvalDeleteRequest,
        options: &QueryOptions,
    ) -> Result<EvalDeleteResponse, ClientError> {
        self.write(Method::DELETE, "/v1/evaluations", request, options)
            .await
    }
}
