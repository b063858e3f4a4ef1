//! What the servers are told: status, health, states.

use nomad_core::alloc::{AllocClientUpdate, AllocDeploymentStatus, ClientStatus};
use nomad_core::{Nanos, Timestamp};

use super::AllocMachine;
use crate::machine::events;
use crate::machine::health::{ALLOC_UNHEALTHY, Health, HealthTracker};
use crate::machine::status;

impl AllocMachine {
    /// Status and description.
    pub fn client_status(&self) -> (ClientStatus, &'static str) {
        match self.forced {
            Some(forced) if self.is_terminal() => forced,
            _ => status::client_status(&self.states),
        }
    }

    /// The whole report.
    pub fn client_update(&self, now: Timestamp) -> AllocClientUpdate {
        let (client_status, description) = self.client_status();
        AllocClientUpdate {
            id: self.alloc.id,
            client_status,
            client_description: description.to_owned(),
            task_states: self.states.clone(),
            deployment_status: self.health.clone(),
            network_status: self.network.clone(),
            modify_time: now,
        }
    }

    /// Health within its deployment or migration.
    pub fn deployment_status(&self) -> Option<&AllocDeploymentStatus> {
        self.health.as_ref()
    }

    pub(super) fn watch_health(&mut self, now: Timestamp) {
        let decided = self
            .health
            .as_ref()
            .is_some_and(|health| health.healthy.is_some());
        self.tracker = if decided {
            None
        } else {
            HealthTracker::new(
                self.group(),
                self.job.job_type,
                self.alloc.deployment_id.is_some(),
                now,
            )
        };
    }

    pub(super) fn judge_health(&mut self, now: Timestamp) {
        let Some(tracker) = &self.tracker else {
            self.look_at = None;
            return;
        };
        let healthy = match tracker.judge(&self.states, self.checks, now) {
            Health::Undecided { look_at } => {
                self.look_at = Some(look_at.max(now + Nanos(1)));
                return;
            }
            Health::Healthy => true,
            Health::Unhealthy { events } => {
                if self.alloc.deployment_id.is_some() {
                    for (task, message) in events {
                        let event = events::with_message(ALLOC_UNHEALTHY, now, &message);
                        self.append(&task, None, event);
                    }
                }
                false
            }
        };
        self.tracker = None;
        self.look_at = None;
        self.health = Some(AllocDeploymentStatus {
            healthy: Some(healthy),
            timestamp: now,
            ..self.health.take().unwrap_or_default()
        });
        self.changed.report = true;
    }

    /// The last report: every task has an end.
    pub(super) fn finish_report(&mut self, now: Timestamp) {
        status::finish(&mut self.states, now);
        let (status, _) = self.client_status();
        self.health = status::final_health(
            status,
            self.alloc.deployment_id.is_some(),
            self.health.take(),
            now,
        );
        self.changed.tasks.extend(self.states.keys().cloned());
        self.changed.report = true;
    }
}
