//! Which metric stands for a request: names are those of the calls behind the HTTP API.

use std::time::Instant;

use http::{Method, Uri};

/// What one kind of request is counted and timed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Timer of the call, "" for none.
    timer: &'static str,
    /// Counter of its family.
    rate: &'static str,
}

/// A request under way; its drop is its end.
pub(crate) struct Timed {
    endpoint: Endpoint,
    begun: Instant,
}

impl Drop for Timed {
    fn drop(&mut self) {
        if !self.endpoint.timer.is_empty() {
            metrics::histogram!(self.endpoint.timer)
                .record(self.begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
}

/// Both names, with the prefix that all have.
macro_rules! endpoint {
    ($timer:literal, $rate:literal) => {
        Endpoint {
            timer: concat!("nomad.nomad.", $timer),
            rate: concat!("nomad.nomad.rpc.", $rate),
        }
    };
    ($rate:literal) => {
        Endpoint {
            timer: "",
            rate: concat!("nomad.nomad.rpc.", $rate),
        }
    };
}

impl Endpoint {
    /// The endpoint of a request, if it is one that dashboards know.
    pub(crate) fn of(method: &Method, uri: &Uri) -> Option<Self> {
        let path = uri.path().strip_prefix("/v1/")?;
        let write = *method != Method::GET;
        let delete = *method == Method::DELETE;
        let (family, rest) = path.split_once('/').unwrap_or((path, ""));
        // Ids hold no slash but those of jobs, whose verbs are at the end.
        let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
        let found = match (family, rest) {
            ("jobs", "") if write => endpoint!("job.register", "job.write"),
            ("jobs", "") => endpoint!("job.list", "job.list"),
            ("jobs", "statuses") => endpoint!("jobs.statuses", "job.list"),
            ("job", _) => job(rest, write, delete),
            ("allocations", "") => endpoint!("alloc.list", "alloc.list"),
            ("allocation", _) if verb == "stop" => endpoint!("alloc.stop", "alloc.write"),
            ("allocation", _) => endpoint!("alloc.get_alloc", "alloc.read"),
            ("evaluations", _) => endpoint!("eval.list", "eval.list"),
            ("evaluation", _) if verb == "allocations" => {
                endpoint!("eval.allocations", "eval.list")
            }
            ("evaluation", _) => endpoint!("eval.get_eval", "eval.read"),
            ("deployments", "") => endpoint!("deployment.list", "deployment.list"),
            ("deployment", _) => deployment(id),
            ("nodes", "") => endpoint!("client.list", "node.list"),
            ("node", "pools") => endpoint!("node_pool.list", "node_pool.list"),
            ("node", _) if id == "pool" => node_pool(verb, write, delete),
            ("node", _) => node(verb),
            ("namespaces", "") => endpoint!("namespace.list_namespace", "namespace.list"),
            ("namespace", _) if delete => {
                endpoint!("namespace.delete_namespaces", "namespace.write")
            }
            ("namespace", _) if write => {
                endpoint!("namespace.upsert_namespaces", "namespace.write")
            }
            ("namespace", _) => endpoint!("namespace.get_namespace", "namespace.read"),
            ("vars", "") => endpoint!("variables.list", "variables.list"),
            ("var", _) => variable(uri.query().unwrap_or(""), write, delete),
            ("operator", "keyring/keys") => endpoint!("keyring.list", "keyring.list"),
            ("operator", "keyring/rotate") => endpoint!("keyring.rotate", "keyring.write"),
            ("event", "stream") => endpoint!("event.read"),
            ("status", _) => endpoint!("status.read"),
            ("search", "") => endpoint!("search.prefix_search", "search.read"),
            ("search", "fuzzy") => endpoint!("search.fuzzy_search", "search.read"),
            ("scaling", "policies") => endpoint!("scaling.list_policies", "scaling.list"),
            ("scaling", _) => endpoint!("scaling.get_policy", "scaling.read"),
            _ => return None,
        };
        Some(found)
    }

    /// Counts the request and starts its timer.
    pub(crate) fn begin(self) -> Timed {
        metrics::counter!("nomad.nomad.rpc.request").increment(1);
        let verb = self.rate.rsplit('.').next();
        if matches!(verb, Some("read" | "list")) {
            metrics::counter!("nomad.nomad.rpc.query").increment(1);
        }
        metrics::counter!(self.rate).increment(1);
        Timed {
            endpoint: self,
            begun: Instant::now(),
        }
    }
}

fn job(rest: &str, write: bool, delete: bool) -> Endpoint {
    let verb = rest.rsplit('/').next().filter(|verb| *verb != rest);
    match verb.unwrap_or("") {
        "allocations" => endpoint!("job.allocations", "job.read"),
        "deployments" => endpoint!("job.deployments", "job.read"),
        "deployment" => endpoint!("job.latest_deployment", "job.read"),
        "evaluations" => endpoint!("job.evaluations", "job.read"),
        "versions" => endpoint!("job.get_job_versions", "job.read"),
        "submission" => endpoint!("job.get_job_submission", "job_submission.read"),
        "summary" => endpoint!("job_summary.get_job_summary", "job.read"),
        "services" => endpoint!("job.get_service_registrations", "job.read"),
        "actions" => endpoint!("job.get_actions", "job.read"),
        "scale" if write => endpoint!("job.scale", "job.write"),
        "scale" => endpoint!("job.scale_status", "job.read"),
        "plan" => endpoint!("job.plan", "job.write"),
        "revert" => endpoint!("job.revert", "job.write"),
        "stable" => endpoint!("job.stable", "job.write"),
        "dispatch" => endpoint!("job.dispatch", "job.write"),
        "evaluate" => endpoint!("job.evaluate", "job.write"),
        "force" => endpoint!("periodic.force", "periodic.write"),
        "tag" => endpoint!("job.tag_version", "job.write"),
        _ if delete => endpoint!("job.deregister", "job.write"),
        _ if write => endpoint!("job.register", "job.write"),
        _ => endpoint!("job.get_job", "job.read"),
    }
}

fn deployment(verb: &str) -> Endpoint {
    match verb {
        "allocations" => endpoint!("deployment.allocations", "deployment.list"),
        "fail" => endpoint!("deployment.fail", "deployment.write"),
        "pause" => endpoint!("deployment.pause", "deployment.write"),
        "promote" => endpoint!("deployment.promote", "deployment.write"),
        "allocation-health" => endpoint!("deployment.set_alloc_health", "deployment.write"),
        _ => endpoint!("deployment.get_deployment", "deployment.read"),
    }
}

fn node(verb: &str) -> Endpoint {
    match verb {
        "allocations" => endpoint!("client.get_allocs", "node.list"),
        "drain" => endpoint!("client.update_drain", "node.write"),
        "eligibility" => endpoint!("client.update_eligibility", "node.write"),
        "evaluate" => endpoint!("client.evaluate", "node.write"),
        "purge" => endpoint!("client.deregister", "node.write"),
        _ => endpoint!("client.get_node", "node.read"),
    }
}

/// `rest` is what follows `node/pool/`.
fn node_pool(rest: &str, write: bool, delete: bool) -> Endpoint {
    match rest.split_once('/').map_or("", |(_, verb)| verb) {
        "nodes" => endpoint!("node_pool.list_nodes", "node_pool.list"),
        "jobs" => endpoint!("node_pool.list_jobs", "node_pool.list"),
        _ if delete => endpoint!("node_pool.delete_node_pools", "node_pool.write"),
        _ if write => endpoint!("node_pool.upsert_node_pools", "node_pool.write"),
        _ => endpoint!("node_pool.get_node_pool", "node_pool.read"),
    }
}

fn variable(query: &str, write: bool, delete: bool) -> Endpoint {
    let asked = |name: &str| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    match () {
        () if asked("lock-acquire") => endpoint!("variables.apply_lock_acquire", "variables.write"),
        () if asked("lock-release") => endpoint!("variables.apply_lock_release", "variables.write"),
        () if asked("lock-renew") => endpoint!("variables.lock_renew", "variables.write"),
        () if delete => endpoint!("variables.apply_delete", "variables.write"),
        () if asked("cas") => endpoint!("variables.apply_cas", "variables.write"),
        () if write => endpoint!("variables.apply_set", "variables.write"),
        () => endpoint!("variables.read", "variables.read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_names_that_dashboards_know() {
        for (method, uri, timer, rate) in [
            (Method::GET, "/v1/jobs?prefix=a", "job.list", "job.list"),
            (Method::PUT, "/v1/jobs", "job.register", "job.write"),
            (
                Method::GET,
                "/v1/job/a/b/summary",
                "job_summary.get_job_summary",
                "job.read",
            ),
            (Method::DELETE, "/v1/job/web", "job.deregister", "job.write"),
            (Method::GET, "/v1/job/web", "job.get_job", "job.read"),
            (
                Method::PUT,
                "/v1/job/web/periodic/force",
                "periodic.force",
                "periodic.write",
            ),
            (
                Method::GET,
                "/v1/node/abc/allocations",
                "client.get_allocs",
                "node.list",
            ),
            (
                Method::GET,
                "/v1/node/pools",
                "node_pool.list",
                "node_pool.list",
            ),
            (
                Method::GET,
                "/v1/node/pool/gpu/nodes",
                "node_pool.list_nodes",
                "node_pool.list",
            ),
            (
                Method::PUT,
                "/v1/deployment/promote/abc",
                "deployment.promote",
                "deployment.write",
            ),
            (
                Method::PUT,
                "/v1/var/a/b?cas=7",
                "variables.apply_cas",
                "variables.write",
            ),
            (
                Method::GET,
                "/v1/var/a/b",
                "variables.read",
                "variables.read",
            ),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let found = Endpoint::of(&method, &uri).unwrap();
            assert_eq!(
                found.timer,
                format!("nomad.nomad.{timer}"),
                "{method} {uri}"
            );
            assert_eq!(
                found.rate,
                format!("nomad.nomad.rpc.{rate}"),
                "{method} {uri}"
            );
        }
        let other: Uri = "/ui/".parse().unwrap();
        assert_eq!(Endpoint::of(&Method::GET, &other), None);
    }
}
