//! Which nodes may run a group at all: one filter per file, each says why it refuses a node.
//!
//! Filters over what nodes of one computed class share are asked once per class; the others ([`Volumes`], constraints
//! on unique attributes) once per node. What depends on other allocations (`distinct_hosts`, `distinct_property`) is
//! data here and decided where allocations are counted.
//!
//! Source: servers and scheduling reference, "Iterator order", "Checks and filter reasons".

pub(crate) mod constraint;
pub(crate) mod csi;
pub(crate) mod device;
mod driver;
pub(crate) mod host_volume;
mod network;
mod secrets;
pub(crate) mod target;
mod value;
mod version;

use std::borrow::Cow;
use std::sync::Arc;

use nomad_core::job::{Constraint, Job, TaskGroup};
use nomad_core::node::Node;

use self::constraint::Check;
use self::device::Request;
use self::target::Target;

/// Why a node is filtered, as metrics show it.
pub(crate) type Reason = Cow<'static, str>;

/// Reason of nodes whose class was already found wanting.
pub(crate) const CLASS_INELIGIBLE: &str = "computed class ineligible";
/// Reason of nodes that run another allocation of the job or group.
pub(crate) const DISTINCT_HOSTS: &str = "distinct_hosts";

/// A check of one node.
pub(crate) trait Filter: Send {
    /// Passes, or says why not.
    fn check(&self, node: &Node) -> Result<(), Reason>;
}

/// Constraints that must all hold.
struct Constraints(Vec<Check>);

impl Constraints {
    fn of<'a>(constraints: impl Iterator<Item = &'a Constraint>) -> Self {
        Self(
            constraints
                .filter(|constraint| !constraint::is_distinct(constraint))
                .map(Check::constraint)
                .collect(),
        )
    }

    fn escapes(&self) -> bool {
        self.0.iter().any(|check| check.escapes)
    }
}

impl Filter for Constraints {
    fn check(&self, node: &Node) -> Result<(), Reason> {
        match self.0.iter().find(|check| !check.is_met_by(node)) {
            None => Ok(()),
            Some(check) => Err(Cow::Owned(check.text.clone())),
        }
    }
}

/// How many allocations may share a value of a node property.
#[derive(Debug, Clone)]
pub(crate) struct PropertyLimit {
    pub(crate) target: Target,
    /// The property as written, for reasons.
    pub(crate) text: String,
    pub(crate) limit: i64,
    /// Whether only allocations of the group count, or those of the whole job.
    pub(crate) group_only: bool,
}

impl PropertyLimit {
    fn of(constraint: &Constraint, group_only: bool) -> Self {
        Self {
            target: Target::parse(&constraint.ltarget),
            text: constraint.ltarget.clone(),
            limit: constraint.rtarget.trim().parse().unwrap_or(1),
            group_only,
        }
    }

    /// Why a node with that value of the property is refused.
    pub(crate) fn reason(&self, value: Option<&str>, used: i64) -> Reason {
        Cow::Owned(match value {
            Some(value) => format!(
                "distinct_property: {}={value} used by {used} allocs",
                self.text
            ),
            None => format!("missing property {:?}", self.text),
        })
    }
}

/// All filters of one group of one job version.
pub(crate) struct GroupFilters {
    job: Constraints,
    group: Vec<Box<dyn Filter>>,
    /// Nodes of one class may answer the job's constraints differently.
    pub(crate) job_escapes: bool,
    /// Nodes of one class may answer the group's filters differently.
    pub(crate) group_escapes: bool,
    pub(crate) host_volumes: Vec<host_volume::Request>,
    pub(crate) csi_volumes: Vec<csi::Request>,
    pub(crate) distinct_hosts_job: bool,
    pub(crate) distinct_hosts_group: bool,
    pub(crate) limits: Vec<PropertyLimit>,
}

/// Reads a truth value as Go's `ParseBool` does.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn distinct_hosts(constraints: &[Constraint]) -> bool {
    constraints
        .iter()
        .find(|constraint| constraint.operand == "distinct_hosts")
        .is_some_and(|constraint| truth(&constraint.rtarget).unwrap_or(true))
}

impl GroupFilters {
    pub(crate) fn of(job: &Job, group: &TaskGroup, devices: &Arc<[(usize, Request)]>) -> Self {
        let own = Constraints::of(job.constraints.iter());
        let merged = Constraints::of(
            group
                .constraints
                .iter()
                .chain(group.tasks.iter().flat_map(|task| &task.constraints)),
        );
        let host_volumes = host_volume::Request::of(group);
        let csi_volumes = csi::Request::of(group);
        let job_escapes = own.escapes();
        let group_escapes = merged.escapes() || !csi_volumes.is_empty();
        let mut filters: Vec<Box<dyn Filter>> =
            vec![Box::new(driver::Drivers::of(group)), Box::new(merged)];
        if !devices.is_empty() {
            filters.push(Box::new(device::Devices(Arc::clone(devices))));
        }
        if let Some(networks) = network::Networks::of(group) {
            filters.push(Box::new(networks));
        }
        if let Some(secrets) = secrets::Secrets::of(group) {
            filters.push(Box::new(secrets));
        }
        let limits = [(&job.constraints, false), (&group.constraints, true)]
            .into_iter()
            .flat_map(|(constraints, group_only)| {
                constraints
                    .iter()
                    .filter(|constraint| constraint.operand == "distinct_property")
                    .map(move |constraint| PropertyLimit::of(constraint, group_only))
            })
            .collect();
        Self {
            job: own,
            group: filters,
            job_escapes,
            group_escapes,
            host_volumes,
            csi_volumes,
            distinct_hosts_job: distinct_hosts(&job.constraints),
            distinct_hosts_group: distinct_hosts(&group.constraints),
            limits,
        }
    }

    /// The job's own constraints.
    pub(crate) fn check_job(&self, node: &Node) -> Result<(), Reason> {
        self.job.check(node)
    }

    /// Drivers, constraints of group and tasks, devices, networks, secrets.
    pub(crate) fn check_group(&self, node: &Node) -> Result<(), Reason> {
        self.group.iter().try_for_each(|filter| filter.check(node))
    }

    /// Whether volumes must be looked at node by node.
    pub(crate) fn has_volumes(&self) -> bool {
        !self.host_volumes.is_empty() || !self.csi_volumes.is_empty()
    }

    /// Whether two nodes of one class may be answered differently.
    pub(crate) fn escapes(&self) -> bool {
        self.job_escapes || self.group_escapes
    }
}
