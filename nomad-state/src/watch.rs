//! Watches: futures that wake when one of their keys changes; any executor can await them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::table::WatchKey;

/// What a watch and the registry share.
#[derive(Debug, Default)]
struct Flag {
    fired: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Flag {
    fn fire(&self) {
        self.fired.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }
}

/// Resolves once when one of its keys changes after it was made. Dropping it forgets it.
#[derive(Debug)]
pub struct Watch {
    flag: Arc<Flag>,
    keys: Vec<WatchKey>,
    registry: Arc<WatchRegistry>,
}

impl Watch {
    /// Whether it has fired.
    pub fn fired(&self) -> bool {
        self.flag.fired.load(Ordering::Acquire)
    }
}

impl Future for Watch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.fired() {
            return Poll::Ready(());
        }
        *self.flag.waker.lock() = Some(context.waker().clone());
        // The flag may have fired between the first look and the waker's registration.
        if self.fired() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.registry.forget(&self.keys, &self.flag);
    }
}

/// Who watches which key.
#[derive(Debug, Default)]
pub(crate) struct WatchRegistry {
    watchers: Mutex<BTreeMap<WatchKey, Vec<Weak<Flag>>>>,
}

impl WatchRegistry {
    pub(crate) fn watch(self: &Arc<Self>, keys: Vec<WatchKey>) -> Watch {
        let flag = Arc::new(Flag::default());
        let mut watchers = self.watchers.lock();
        for key in &keys {
            watchers
                .entry(key.clone())
                .or_default()
                .push(Arc::downgrade(&flag));
        }
        drop(watchers);
        Watch {
            flag,
            keys,
            registry: Arc::clone(self),
        }
    }

    /// Fires every watch of the keys.
    pub(crate) fn notify(&self, keys: &[WatchKey]) {
        let mut due = Vec::new();
        let mut watchers = self.watchers.lock();
        for key in keys {
            if let Some(flags) = watchers.remove(key) {
                due.extend(flags.iter().filter_map(Weak::upgrade));
            }
        }
        drop(watchers);
        for flag in due {
            flag.fire();
        }
    }

    /// Fires everything: the whole state was replaced.
    pub(crate) fn notify_all(&self) {
        let all = std::mem::take(&mut *self.watchers.lock());
        for flag in all
            .into_values()
            .flatten()
            .filter_map(|flag| flag.upgrade())
        {
            flag.fire();
        }
    }

    fn forget(&self, keys: &[WatchKey], flag: &Arc<Flag>) {
        let mut watchers = self.watchers.lock();
        for key in keys {
            if let Some(flags) = watchers.get_mut(key) {
                flags.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(flag)));
                if flags.is_empty() {
                    watchers.remove(key);
                }
            }
        }
    }

    /// Number of keys that somebody watches.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.watchers.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    #[test]
    fn only_watchers_of_the_key_fire_and_nothing_stays_behind() {
        let registry = Arc::new(WatchRegistry::default());
        let jobs = registry.watch(vec![
            WatchKey::Table(Table::Jobs),
            WatchKey::Table(Table::JobSummaries),
        ]);
        let nodes = registry.watch(vec![WatchKey::Table(Table::Nodes)]);
        registry.notify(&[WatchKey::Table(Table::Jobs)]);
        assert!(jobs.fired());
        assert!(!nodes.fired());
        drop(jobs);
        drop(nodes);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn a_watch_wakes_its_task() {
        let registry = Arc::new(WatchRegistry::default());
        let mut watch = Box::pin(registry.watch(vec![WatchKey::Table(Table::Allocs)]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(watch.as_mut().poll(&mut context).is_pending());
        registry.notify(&[WatchKey::Table(Table::Allocs)]);
        assert!(watch.as_mut().poll(&mut context).is_ready());
    }
}
