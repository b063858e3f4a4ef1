//! Groups, policies, networks, volumes.

use super::{ConvertError, affinities, any_map, concrete, constraints, spreads};
use crate::job;
use crate::spec::{
    Consul, DisconnectStrategy, MigrateStrategy, NetworkResource, Port, ReschedulePolicy,
    RestartPolicy, ScalingPolicy, TaskGroup, UpdateStrategy, VolumeRequest,
};

pub(super) fn restart(policy: RestartPolicy) -> Result<job::RestartPolicy, ConvertError> {
    Ok(job::RestartPolicy {
        attempts: concrete(&policy.attempts),
        interval: concrete(&policy.interval),
        delay: concrete(&policy.delay),
        mode: match policy.mode.as_deref().unwrap_or_default() {
            "fail" | "" => job::RestartMode::Fail,
            "delay" => job::RestartMode::Delay,
            other => return Err(ConvertError::new("restart mode", other)),
        },
        render_templates: concrete(&policy.render_templates),
    })
}

fn reschedule(policy: ReschedulePolicy) -> job::ReschedulePolicy {
    job::ReschedulePolicy {
        attempts: concrete(&policy.attempts),
        interval: concrete(&policy.interval),
        delay: concrete(&policy.delay),
        delay_function: concrete(&policy.delay_function),
        max_delay: concrete(&policy.max_delay),
        unlimited: concrete(&policy.unlimited),
    }
}

fn update(strategy: UpdateStrategy) -> job::UpdateStrategy {
    job::UpdateStrategy {
        stagger: concrete(&strategy.stagger),
        max_parallel: concrete(&strategy.max_parallel),
        health_check: concrete(&strategy.health_check),
        min_healthy_time: concrete(&strategy.min_healthy_time),
        healthy_deadline: concrete(&strategy.healthy_deadline),
        progress_deadline: concrete(&strategy.progress_deadline),
        auto_revert: concrete(&strategy.auto_revert),
        auto_promote: concrete(&strategy.auto_promote),
        canary: concrete(&strategy.canary),
    }
}

fn migrate(strategy: MigrateStrategy) -> job::MigrateStrategy {
    job::MigrateStrategy {
        max_parallel: concrete(&strategy.max_parallel),
        health_check: concrete(&strategy.health_check),
        min_healthy_time: concrete(&strategy.min_healthy_time),
        healthy_deadline: concrete(&strategy.healthy_deadline),
    }
}

fn disconnect(strategy: DisconnectStrategy) -> Result<job::Disconnect, ConvertError> {
    Ok(job::Disconnect {
        lost_after: concrete(&strategy.lost_after),
        stop_on_client_after: strategy.stop_on_client_after,
        replace: strategy.replace,
        reconcile: match strategy.reconcile.as_deref().unwrap_or_default() {
            "best_score" | "" => job::ReconcileStrategy::BestScore,
            "longest_running" => job::ReconcileStrategy::LongestRunning,
            "keep_original" => job::ReconcileStrategy::KeepOriginal,
            "keep_replacement" => job::ReconcileStrategy::KeepReplacement,
            other => return Err(ConvertError::new("disconnect reconcile", other)),
        },
    })
}

pub(super) fn consul(consul: Consul) -> job::Consul {
    job::Consul {
        namespace: consul.namespace,
        cluster: consul.cluster,
        partition: consul.partition,
    }
}

/// An unset maximum is one that no count keeps.
pub(super) fn scaling(policy: ScalingPolicy) -> job::ScalingPolicy {
    job::ScalingPolicy {
        id: policy.id,
        kind: policy.policy_type,
        target: policy.target.unwrap_or_default(),
        policy: any_map(policy.policy),
        min: concrete(&policy.min),
        max: policy.max.unwrap_or(-1),
        enabled: concrete(&policy.enabled),
        create_index: policy.create_index,
        modify_index: policy.modify_index,
    }
}

fn volume(volume: VolumeRequest) -> job::VolumeRequest {
    job::VolumeRequest {
        name: volume.name,
        kind: volume.volume_type,
        source: volume.source,
        read_only: volume.read_only,
        sticky: volume.sticky,
        access_mode: volume.access_mode,
        attachment_mode: volume.attachment_mode,
        mount_options: volume.mount_options.map(|options| job::VolumeMountOptions {
            fs_type: options.fs_type,
            mount_flags: options.mount_flags.unwrap_or_default(),
        }),
        per_alloc: volume.per_alloc,
    }
}

pub(super) fn networks(list: Option<Vec<NetworkResource>>) -> Vec<job::NetworkResource> {
    list.unwrap_or_default().into_iter().map(network).collect()
}

fn network(network: NetworkResource) -> job::NetworkResource {
    job::NetworkResource {
        mode: network.mode,
        device: String::new(),
        cidr: network.cidr,
        ip: network.ip,
        hostname: network.hostname,
        mbits: concrete(&network.mbits),
        dns: network.dns.map(|dns| job::Dns {
            servers: dns.servers.unwrap_or_default(),
            searches: dns.searches.unwrap_or_default(),
            options: dns.options.unwrap_or_default(),
        }),
        reserved_ports: ports(network.reserved_ports),
        dynamic_ports: ports(network.dynamic_ports),
        cni: network.cni.map(|cni| job::Cni {
            args: cni.args.unwrap_or_default(),
        }),
    }
}

fn ports(list: Option<Vec<Port>>) -> Vec<job::Port> {
    list.unwrap_or_default()
        .into_iter()
        .map(|port| job::Port {
            label: port.label,
            value: port.value,
            to: port.to,
            host_network: port.host_network,
            ignore_collision: port.ignore_collision,
        })
        .collect()
}

impl TaskGroup {
    pub(super) fn into_group(self, namespace: &str) -> Result<job::TaskGroup, ConvertError> {
        Ok(job::TaskGroup {
            name: concrete(&self.name),
            count: concrete(&self.count),
            update: self.update.map(update),
            migrate: self.migrate.map(migrate),
            constraints: constraints(self.constraints),
            scaling: self.scaling.map(scaling),
            restart_policy: self.restart_policy.map(restart).transpose()?,
            disconnect: self.disconnect.map(disconnect).transpose()?,
            tasks: self
                .tasks
                .unwrap_or_default()
                .into_iter()
                .map(|task| task.into_task(namespace))
                .collect::<Result<_, _>>()?,
            ephemeral_disk: self.ephemeral_disk.map(|disk| job::EphemeralDisk {
                sticky: concrete(&disk.sticky),
                size_mb: concrete(&disk.size_mb),
                migrate: concrete(&disk.migrate),
            }),
            meta: self.meta.unwrap_or_default(),
            reschedule_policy: self.reschedule_policy.map(reschedule),
            affinities: affinities(self.affinities),
            spreads: spreads(self.spreads),
            networks: networks(self.networks),
            consul: self.consul.map(consul),
            services: self
                .services
                .unwrap_or_default()
                .into_iter()
                .map(|s| s.into_service(namespace))
                .collect(),
            // Volumes of any other type are not kept.
            volumes: self
                .volumes
                .unwrap_or_default()
                .into_iter()
                .filter(|(_, request)| matches!(request.volume_type.as_str(), "host" | "csi"))
                .map(|(name, request)| (name, volume(request)))
                .collect(),
            shutdown_delay: self.shutdown_delay,
            max_run_duration: self.max_run_duration,
            stop_after_client_disconnect: None,
            max_client_disconnect: None,
            prevent_reschedule_on_lost: false,
        })
    }
}
