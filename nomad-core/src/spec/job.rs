//! The job itself and the blocks that stand directly in it.

use super::constraint::{Affinity, Constraint, Spread};
use super::group::TaskGroup;
use super::json::{Base64, StringList, StringMap, api_struct};
use super::policy::{MigrateStrategy, ReschedulePolicy, UpdateStrategy};

api_struct! {
    /// A job as it is submitted: scalars that were not given are `None`.
    ///
    /// Source: jobspec.md §1.1, recorded answers of `/v1/jobs/parse`.
    pub struct Job {
        pub affinities: Option<Vec<Affinity>> = "Affinities",
        pub all_at_once: Option<bool> = "AllAtOnce",
        pub constraints: Option<Vec<Constraint>> = "Constraints",
        pub consul_namespace: Option<String> = "ConsulNamespace",
        pub create_index: Option<u64> = "CreateIndex",
        pub datacenters: StringList = "Datacenters",
        pub dispatch_idempotency_token: Option<String> = "DispatchIdempotencyToken",
        pub dispatched: bool = "Dispatched",
        pub id: Option<String> = "ID",
        pub job_modify_index: Option<u64> = "JobModifyIndex",
        pub meta: StringMap = "Meta",
        pub migrate: Option<MigrateStrategy> = "Migrate",
        pub modify_index: Option<u64> = "ModifyIndex",
        pub multiregion: Option<Multiregion> = "Multiregion",
        pub name: Option<String> = "Name",
        pub namespace: Option<String> = "Namespace",
        pub node_pool: Option<String> = "NodePool",
        pub nomad_token_id: Option<String> = "NomadTokenID",
        pub parameterized_job: Option<ParameterizedJob> = "ParameterizedJob",
        pub parent_id: Option<String> = "ParentID",
        pub payload: Option<Base64> = "Payload",
        pub periodic: Option<Periodic> = "Periodic",
        pub priority: Option<i64> = "Priority",
        pub region: Option<String> = "Region",
        pub reschedule: Option<ReschedulePolicy> = "Reschedule",
        pub spreads: Option<Vec<Spread>> = "Spreads",
        pub stable: Option<bool> = "Stable",
        pub status: Option<String> = "Status",
        pub status_description: Option<String> = "StatusDescription",
        pub stop: Option<bool> = "Stop",
        /// Unix nanoseconds.
        pub submit_time: Option<i64> = "SubmitTime",
        pub task_groups: Option<Vec<TaskGroup>> = "TaskGroups",
        pub job_type: Option<String> = "Type",
        pub ui: Option<JobUi> = "UI",
        pub update: Option<UpdateStrategy> = "Update",
        pub vault_namespace: Option<String> = "VaultNamespace",
        pub version: Option<u64> = "Version",
        pub version_tag: Option<VersionTag> = "VersionTag",
    }
}

api_struct! {
    /// When a batch job is started by the clock.
    pub struct Periodic {
        pub enabled: Option<bool> = "Enabled",
        pub prohibit_overlap: Option<bool> = "ProhibitOverlap",
        /// One cron expression (deprecated in favour of `specs`).
        pub spec: Option<String> = "Spec",
        /// Only `cron`.
        pub spec_type: Option<String> = "SpecType",
        pub specs: StringList = "Specs",
        /// IANA name.
        pub time_zone: Option<String> = "TimeZone",
    }
}

api_struct! {
    /// What a dispatch of the job takes.
    pub struct ParameterizedJob {
        pub meta_optional: StringList = "MetaOptional",
        pub meta_required: StringList = "MetaRequired",
        /// `optional`, `required` or `forbidden`.
        pub payload: String = "Payload",
    }
}

api_struct! {
    /// The regions of a federated job.
    pub struct Multiregion {
        pub regions: Option<Vec<MultiregionRegion>> = "Regions",
        pub strategy: Option<MultiregionStrategy> = "Strategy",
    }
}

api_struct! {
    /// How a federated job moves from region to region.
    pub struct MultiregionStrategy {
        pub max_parallel: Option<i64> = "MaxParallel",
        pub on_failure: Option<String> = "OnFailure",
    }
}

api_struct! {
    /// One region of a federated job.
    pub struct MultiregionRegion {
        pub count: Option<i64> = "Count",
        pub datacenters: StringList = "Datacenters",
        pub meta: StringMap = "Meta",
        pub name: String = "Name",
        pub node_pool: String = "NodePool",
    }
}

api_struct! {
    /// What the web UI shows about the job.
    pub struct JobUi {
        /// Markdown, at most 1000 bytes.
        pub description: String = "Description",
        pub links: Option<Vec<JobUiLink>> = "Links",
    }
}

api_struct! {
    /// One link on the job's page.
    pub struct JobUiLink {
        pub label: String = "Label",
        pub url: String = "URL",
    }
}

api_struct! {
    /// A name given to one version of a job.
    pub struct VersionTag {
        pub description: String = "Description",
        pub name: String = "Name",
        /// Unix nanoseconds.
        pub tagged_time: i64 = "TaggedTime",
    }
}
