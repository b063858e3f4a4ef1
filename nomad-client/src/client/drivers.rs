//! The node's drivers: what they say of themselves, now and later.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::SelectAll;
use nomad_core::node::{DriverInfo, Node};
use nomad_core::{AllocId, Timestamp};
use nomad_drivers::{DriverEvent, FINGERPRINT_INTERVAL, Fingerprint, Health, Registry};
use tokio_stream::wrappers::BroadcastStream;

use super::Core;
use crate::machine::alloc::Event;
use crate::machine::events;

/// Asks every driver and writes what they say into the node.
pub(super) async fn describe(registry: &Registry, node: &mut Node, now: Timestamp) {
    let asked = registry
        .iter()
        .map(|(name, driver)| async move { (name, driver.fingerprint().await) });
    for (name, fingerprint) in futures::future::join_all(asked).await {
        write(node, name, fingerprint, now);
    }
}

/// The attribute `driver.NAME` is `1` on the node where the driver is detected.
fn write(node: &mut Node, name: &str, fingerprint: Fingerprint, now: Timestamp) {
    let own = format!("driver.{name}");
    let below = format!("{own}.");
    let detected = fingerprint.health != Health::Undetected;
    node.attributes
        .retain(|key, _| *key != own && !key.starts_with(&below));
    if detected {
        node.attributes.extend(
            fingerprint
                .attributes
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        node.attributes.insert(own, "1".to_owned());
    }
    let info = DriverInfo {
        attributes: fingerprint.attributes,
        detected,
        healthy: fingerprint.health == Health::Healthy,
        health_description: fingerprint.description,
        update_time: now,
    };
    let unchanged = node.drivers.get(name).is_some_and(|before| {
        let same_time = DriverInfo {
            update_time: before.update_time,
            ..info.clone()
        };
        *before == same_time
    });
    if !unchanged {
        node.drivers.insert(name.to_owned(), info);
    }
}

/// Asks the drivers again and again, and registers the node when an answer changed.
pub(super) async fn watch_health(core: Arc<Core>) {
    loop {
        tokio::time::sleep(FINGERPRINT_INTERVAL).await;
        let mut node = (**core.node.load()).clone();
        describe(&core.shared.drivers, &mut node, core.shared.clock.now()).await;
        let (drivers, attributes) = (node.drivers, node.attributes);
        core.change_node(|node| {
            node.drivers = drivers;
            node.attributes = attributes;
        });
    }
}

/// Hands what drivers tell of tasks to the tasks' events.
pub(super) async fn tell_events(core: Arc<Core>) {
    let mut all = SelectAll::new();
    for (_, driver) in core.shared.drivers.iter() {
        all.push(BroadcastStream::new(driver.events()));
    }
    while let Some(event) = all.next().await {
        // Missed events are about details; the task's own state does not depend on them.
        let Ok(DriverEvent {
            task_id, message, ..
        }) = event
        else {
            continue;
        };
        let mut parts = task_id.split('/');
        let (Some(alloc), Some(task)) = (parts.next(), parts.next()) else {
            continue;
        };
        if let Ok(id) = alloc.parse::<AllocId>()
            && let Some(runner) = core.shared.runner(&id)
        {
            let event = events::driver_message(core.shared.clock.now(), &message);
            runner.dispatch(Event::Told(task.to_owned(), event));
        }
    }
    // Without drivers there is nothing to tell, but nothing to end for either.
    std::future::pending::<()>().await;
}
