//! Commands about the cluster itself: scheduler configuration, node pools, namespaces.

use std::sync::Arc;

use nomad_core::node::NodePool;

use super::{ApplyError, Reply};
use crate::command::{
    ClusterMetadata, NamespaceDelete, NamespaceUpsert, NodePoolDelete, NodePoolUpsert,
    SchedulerConfigSet,
};
use crate::state::State;
use crate::table::Table;
use crate::tables::Txn;

pub(super) fn scheduler_config(
    txn: &mut Txn,
    command: &SchedulerConfigSet,
) -> Result<Reply, ApplyError> {
    let old = &txn.tables.scheduler_config;
    if command.cas.is_some_and(|index| index != old.modify_index) {
        return Ok(Reply::Set(false));
    }
    let mut config = command.config.clone();
    config.create_index = if old.create_index == 0 {
        txn.index
    } else {
        old.create_index
    };
    config.modify_index = txn.index;
    txn.tables.scheduler_config = Arc::new(config);
    txn.touch(Table::SchedulerConfig);
    Ok(Reply::Set(true))
}

pub(super) fn node_pool_upsert(txn: &mut Txn, command: &NodePoolUpsert) -> Result<(), ApplyError> {
    for pool in &command.pools {
        put_node_pool(txn, pool.clone());
    }
    Ok(())
}

/// A node may name a pool that nobody made yet.
pub(super) fn ensure_node_pool(txn: &mut Txn, name: &str) {
    if !txn.tables.node_pools.contains_key(name) {
        put_node_pool(
            txn,
            NodePool {
                name: name.to_owned(),
                ..NodePool::default()
            },
        );
    }
}

fn put_node_pool(txn: &mut Txn, mut pool: NodePool) {
    pool.create_index = txn
        .tables
        .node_pools
        .get(&pool.name)
        .map_or(txn.index, |old| old.create_index);
    pool.modify_index = txn.index;
    txn.tables
        .node_pools
        .insert(pool.name.clone(), Arc::new(pool));
    txn.touch(Table::NodePools);
}

pub(super) fn node_pool_delete(txn: &mut Txn, command: &NodePoolDelete) -> Result<(), ApplyError> {
    for name in &command.names {
        txn.tables
            .node_pools
            .remove(name)
            .ok_or_else(|| ApplyError::NodePoolNotFound { name: name.clone() })?;
    }
    txn.touch(Table::NodePools);
    Ok(())
}

pub(super) fn namespace_upsert(txn: &mut Txn, command: &NamespaceUpsert) -> Result<(), ApplyError> {
    for namespace in &command.namespaces {
        let mut namespace = namespace.clone();
        namespace.create_index = txn
            .tables
            .namespaces
            .get(&namespace.name)
            .map_or(txn.index, |old| old.create_index);
        namespace.modify_index = txn.index;
        namespace.hash = namespace.computed_hash();
        txn.tables
            .namespaces
            .insert(namespace.name.clone(), Arc::new(namespace));
    }
    txn.touch(Table::Namespaces);
    Ok(())
}

pub(super) fn namespace_delete(txn: &mut Txn, command: &NamespaceDelete) -> Result<(), ApplyError> {
    for name in &command.names {
        if name == nomad_core::DEFAULT_NAMESPACE {
            return Err(ApplyError::Refused {
                reason: "can not delete default namespace".to_owned(),
            });
        }
        let state = State(Arc::new(txn.tables.clone()));
        if let Some(used) = state.namespace_use(name) {
            let name = name.clone();
            return Err(ApplyError::NamespaceInUse { name, used });
        }
        if txn.tables.namespaces.remove(name).is_none() {
            return Err(ApplyError::Refused {
                reason: "namespace not found".to_owned(),
            });
        }
    }
    txn.touch(Table::Namespaces);
    Ok(())
}

pub(super) fn cluster_metadata(txn: &mut Txn, command: &ClusterMetadata) -> Result<(), ApplyError> {
    if txn.tables.cluster_id.is_none() {
        txn.tables.cluster_id = Some(Arc::from(command.cluster_id.as_str()));
        txn.touch(Table::ClusterMeta);
    }
    Ok(())
}
